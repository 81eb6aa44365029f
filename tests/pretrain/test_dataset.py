"""Data sets of pictures without labels: what they find, what they keep, what they do with broken files."""
import json
import os
import pickle
import sys
from functools import partial

import numpy as np
import pytest
from torch.utils.data import DataLoader

from sapiens_mm.pretrain import index as index_module
from sapiens_mm.pretrain.dataset import HumanImages, ShardedHumanImages
from sapiens_mm.pretrain.sampler import ResumableSampler, StreamBatchSampler
from sapiens_mm.pretrain.transforms import LoadRandomResizedCrop
from tests.pretrain.support import picture, write_shards
from tests.support import load_tool


@pytest.fixture
def tree(tmp_path):
    for i, name in enumerate(['b/1.jpg', 'b/0.PNG', 'a.jpeg', 'c/d/e.webp', 'c/notes.txt', '.hidden/x.jpg']):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(i))
    return tmp_path


def paths(dataset):
    return [os.path.relpath(dataset.get_data_info(i)['img_path'], dataset.data_root) for i in range(len(dataset))]


def test_a_tree_is_found_whole_and_in_order(tree):
    assert paths(HumanImages(str(tree))) == ['a.jpeg', 'b/0.PNG', 'b/1.jpg', 'c/d/e.webp']


def test_what_appears_while_the_index_is_built_is_found_next_time(tree, monkeypatch):
    from sapiens_mm.pretrain import dataset as module
    walk = module.walk
    os.utime(tree / 'b', (1, 1))

    def late(*args):
        yield from walk(*args)
        (tree / 'b' / 'late.jpg').write_bytes(picture(9))  # its folder has been read

    monkeypatch.setattr(module, 'walk', late)
    assert 'b/late.jpg' not in paths(HumanImages(str(tree)))
    monkeypatch.undo()
    assert 'b/late.jpg' in paths(HumanImages(str(tree)))


def test_folders_that_link_in_a_circle_end(tree):
    (tree / 'c' / 'back').symlink_to(tree)
    assert len(HumanImages(str(tree))) == 4


def test_the_index_is_built_once_and_again_when_something_changed(tree, monkeypatch):
    built = []
    build = index_module.build_index
    monkeypatch.setattr(index_module, 'build_index', lambda *args: built.append(1) or build(*args))
    assert len(HumanImages(str(tree))) == 4 and len(built) == 1
    assert len(HumanImages(str(tree))) == 4 and len(built) == 1
    (tree / 'c' / 'd' / 'f.jpg').write_bytes(picture(9))
    assert 'c/d/f.jpg' in paths(HumanImages(str(tree))) and len(built) == 2
    (tree / 'b' / '1.jpg').unlink()
    assert 'b/1.jpg' not in paths(HumanImages(str(tree))) and len(built) == 3


def test_a_list_file_is_followed_and_its_change_noticed(tree):
    file = tree / 'list.txt'
    file.write_text('c/d/e.webp\nb/1.jpg\r\n\na.jpeg')
    dataset = HumanImages(str(tree), 'list.txt')
    assert paths(dataset) == ['c/d/e.webp', 'b/1.jpg', 'a.jpeg']
    assert paths(pickle.loads(pickle.dumps(dataset))) == paths(dataset)
    file.write_text('a.jpeg')
    assert paths(HumanImages(str(tree), 'list.txt')) == ['a.jpeg']


ROWS = [
    dict(path='a', boxes=[[0, 0, 301, 301]], scores=[0.91]),
    dict(path='low_score', boxes=[[0, 0, 400, 400]], scores=[0.9]),
    dict(path='narrow', boxes=[[0, 0, 300, 900]], scores=[0.99]),
    dict(path='nobody', boxes=[], scores=[]),
    dict(path='split', boxes=[[0, 0, 500, 500], [0, 0, 100, 100]], scores=[0.5, 0.99]),
    dict(path='second', boxes=[[0, 0, 10, 10], [50, 50, 400, 900]], scores=[0.99, 0.95]),
    dict(path='drawing', boxes=[[0, 0, 400, 400]], scores=[0.99], flags=['drawing']),
]


@pytest.mark.parametrize('ending', ['jsonl', 'parquet'])
def test_a_sidecar_filters_as_the_paper_does(tmp_path, ending):
    if ending == 'parquet':
        pa = pytest.importorskip('pyarrow')
        from pyarrow import parquet
        parquet.write_table(pa.Table.from_pylist([{'flags': None, **row} for row in ROWS]), tmp_path / 'side.parquet')
    else:
        (tmp_path / 'side.jsonl').write_text('\n'.join(map(json.dumps, ROWS)))
    build = partial(HumanImages, str(tmp_path), f'side.{ending}')
    assert paths(build()) == [row['path'] for row in ROWS]
    assert paths(build(quality=dict())) == ['a', 'second', 'drawing']
    assert paths(build(quality=dict(reject_flags=['drawing']))) == ['a', 'second']
    assert paths(build(quality=dict(min_score=0.4, min_side=200))) == ['a', 'low_score', 'narrow', 'split', 'second', 'drawing']


def test_mistakes_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='data_root'):
        HumanImages(str(tmp_path / 'absent'))
    with pytest.raises(ValueError, match='no pictures'):
        HumanImages(str(tmp_path))
    with pytest.raises(FileNotFoundError, match='ann_file'):
        HumanImages(str(tmp_path), 'absent.txt')
    with pytest.raises(ValueError, match='sidecar'):
        HumanImages(str(tmp_path), quality=dict())
    (tmp_path / 'side.jsonl').write_text('{"path": "a", "boxes": [[0, 0, 1, 1]], "scores": []}\n')
    with pytest.raises(ValueError, match='row 1'):
        HumanImages(str(tmp_path), 'side.jsonl')
    with pytest.raises(ValueError, match='min_score'):
        HumanImages(str(tmp_path), 'side.jsonl', quality=dict(score=0.5))
    with pytest.raises(FileNotFoundError, match='shards'):
        ShardedHumanImages(str(tmp_path))


def test_broken_files_are_left_out_counted_and_too_many_stop(tree):
    (tree / 'b' / 'bad.jpg').write_bytes(picture(3)[:200])
    load = LoadRandomResizedCrop(16, max_bad_share=0.003)
    dataset = HumanImages(str(tree), pipeline=[load])
    assert all(dataset[i]['img'].shape == (16, 16, 3) for i in range(len(dataset)))
    read, bad, names = load.bad_samples.state()
    assert bad >= 1 and read == len(dataset) + bad and names[0].endswith('bad.jpg')
    for i in range(4):
        (tree / 'b' / f'worse{i}.jpg').write_bytes(b'')
    dataset = HumanImages(str(tree), pipeline=[load])
    with pytest.raises(ValueError, match='cannot be read'):
        for i in range(len(dataset)):
            dataset[i]


def shard_loader(root, num_workers=0, batch_size=5, **kwargs):
    dataset = ShardedHumanImages(str(root), pipeline=[lambda r: r['img_path'][-4:]], **kwargs)
    sampler = ResumableSampler(dataset, seed=1)
    return DataLoader(dataset, batch_sampler=StreamBatchSampler(sampler, batch_size), num_workers=num_workers,
                      collate_fn=list, persistent_workers=num_workers > 0), sampler


@pytest.mark.parametrize('num_workers', [0, 1, 3])
@pytest.mark.parametrize('index', [True, False])
def test_an_epoch_of_shards_has_every_picture(tmp_path, num_workers, index):
    write_shards(tmp_path, index=index)
    loader, sampler = shard_loader(tmp_path, num_workers, shuffle_buffer=20)
    orders = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        batches = list(loader)
        assert len(batches) == len(loader) == 12
        orders.append(sum(batches, []))
        assert sorted(orders[-1]) == [f'{i:04d}' for i in range(60)]
    assert orders[0] != orders[1] and orders[0] != sorted(orders[0])


def test_only_changed_shards_are_opened_again(tmp_path, monkeypatch):
    write_shards(tmp_path, index=False)
    from sapiens_mm.pretrain import dataset as module
    opened = []
    count = module.list_pictures
    monkeypatch.setattr(module, 'list_pictures', lambda path: opened.append(os.path.basename(path)) or count(path))
    assert len(ShardedHumanImages(str(tmp_path))) == 60 and len(opened) == 5
    os.utime(tmp_path / 'shard-000002.tar', (1, 1))
    assert len(ShardedHumanImages(str(tmp_path))) == 60 and opened[5:] == ['shard-000002.tar']


def test_many_shards_are_counted_by_several_processes_and_a_kill_loses_none(tmp_path, monkeypatch):
    from sapiens_mm.pretrain import dataset as module
    write_shards(tmp_path, 70, 1, index=False)
    assert len(ShardedHumanImages(str(tmp_path))) == 70
    journal, = (tmp_path / '.sapiens_mm_index').glob('shards-*.jsonl')
    rows = journal.read_text()
    journal.write_text(rows[:len(rows) // 2])  # killed within a line
    opened = []
    count = module.list_pictures
    monkeypatch.setattr(module, 'list_pictures', lambda path: opened.append(path) or count(path))
    assert len(ShardedHumanImages(str(tmp_path))) == 70 and 30 < len(opened) < 40
    assert len(ShardedHumanImages(str(tmp_path))) == 70 and len(opened) < 40
    (tmp_path / 'shard-000003.tar').write_bytes(b'no tar')
    with pytest.raises(ValueError, match='shard-000003'):
        ShardedHumanImages(str(tmp_path))


def test_a_folder_is_packed_into_shards(tree, tmp_path, monkeypatch, capsys):
    tool = load_tool('dataset_converters/pack_shards.py')
    (tree / 'b' / '1.x.png').write_bytes(picture(7))
    (tree / 'noending').write_bytes(picture(8))
    names = ['a.jpeg', 'b/0.PNG', 'b/1.jpg', 'b/1.x.png', 'c/d/e.webp', 'noending', 'gone.jpg']
    (tree / 'list.txt').write_text('\n'.join(names))
    out = tree / 'packed'
    (tree / 'packed.partial').mkdir()  # of a run that was killed
    (tree / 'packed.partial' / 'shard-000009.tar').write_bytes(b'')
    monkeypatch.setattr(sys, 'argv', ['pack_shards.py', str(tree), str(out), '--ann-file', 'list.txt', '--samples-per-shard', '4'])
    tool.main()
    said = capsys.readouterr()
    assert '6 pictures in 2 shards' in said.out and 'gone.jpg' in said.err
    assert sorted(f.name for f in out.iterdir()) == ['shard-000000.tar', 'shard-000001.tar', 'shards.json']
    dataset = ShardedHumanImages(str(out), pipeline=[lambda r: r['img_bytes']])
    assert sorted(dataset[i] for i in range(len(dataset))) == sorted((tree / name).read_bytes() for name in names[:-1])
    with pytest.raises(tool.UserError, match='already'):
        tool.main()


def test_a_sidecar_filters_shards(tmp_path):
    write_shards(tmp_path)
    for shard in range(5):
        rows = [dict(path=f'{i:04d}', boxes=[[0, 0, 400, 400]], scores=[0.95 if i % 3 else 0.2])
                for i in range(13 * shard, min(13 * shard + 13, 60))]
        (tmp_path / f'shard-{shard:06d}.jsonl').write_text('\n'.join(map(json.dumps, rows)))
    for _ in range(2):  # from the shards, then from the cache
        loader, _ = shard_loader(tmp_path, batch_size=4, quality=dict())
        assert sorted(sum(loader, [])) == [f'{i:04d}' for i in range(60) if i % 3]
    (tmp_path / 'shard-000003.jsonl').unlink()
    with pytest.raises(FileNotFoundError, match='shard-000003'):
        shard_loader(tmp_path, quality=dict())


def test_broken_pictures_and_shards_cut_short_keep_batches_whole(tmp_path):
    write_shards(tmp_path, bad=[0, 17])
    shard = tmp_path / 'shard-000004.tar'
    shard.write_bytes(shard.read_bytes()[:5 * 2048])
    load = LoadRandomResizedCrop(16, max_bad_share=0.1)
    dataset = ShardedHumanImages(str(tmp_path), pipeline=[load])
    loader = DataLoader(dataset, batch_sampler=StreamBatchSampler(ResumableSampler(dataset, seed=0), 6), collate_fn=list)
    batches = list(loader)
    assert [len(batch) for batch in batches] == [6] * 10
    assert all(isinstance(sample['img'], np.ndarray) for batch in batches for sample in batch)
    assert load.bad_samples.state()[1] >= 3
    assert dataset[0]['img'].shape == (16, 16, 3)
