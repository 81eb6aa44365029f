"""Curation: what stays and why, and that a kill changes nothing."""
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sapiens_mm.pretrain.curation import (
    DAMAGED,
    Curator,
    RTMDetPerson,
    Source,
    build_callable,
    find_duplicates,
    perceptual_hash,
)
from sapiens_mm.pretrain.dataset import ShardedHumanImages
from sapiens_mm.pretrain.shards import ShardWriter, read_pictures
from tests.support import load_tool

ROOT = Path(__file__).resolve().parents[2]
LOOKS = {'no person': dict(red=200), 'people too small': dict(green=100), 'dark': dict(red=20, green=20, blue=20)}
DETECTOR = dict(type='tests.pretrain.curation_callables.BrightPeople')


def waves(seed, red=245, green=200, blue=120, size=(96, 128)):
    """A picture of its own look in a given mean colour."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size[0], :size[1]] / 100
    pattern = sum(np.sin(rng.uniform(3, 25) * x + rng.uniform(3, 25) * y + rng.uniform(0, 6)) for _ in range(4))
    flat = np.stack([np.full(size, c) for c in (red, green, blue)], -1)
    return np.clip(flat + pattern[..., None] * (2, 12, 2), 0, 255).astype(np.uint8)


def as_jpeg(array, quality=95):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, 'JPEG', quality=quality)
    return buffer.getvalue()


def fill(directory, count=24, sharded=True):
    """Pictures whose fate follows from their number; returns name -> fate."""
    fates, files = {}, {}
    for i in range(count):
        name = f'{i:03d}'
        fate = ('kept', 'kept', 'no person', 'people too small', 'dark', 'unreadable', 'duplicate', 'kept')[i % 8]
        kwargs = dict(LOOKS.get(fate, {}))
        content = as_jpeg(waves(i - 6 if fate == 'duplicate' else i, **kwargs), 80 if fate == 'duplicate' else 95)
        files[name], fates[name] = content[:300] if fate == 'unreadable' else content, fate
    if sharded:
        writer = ShardWriter(directory, 5)
        for name, content in files.items():
            writer.write(name, {'.jpg': content})
        writer.close()
    else:
        directory.mkdir()
        for name, content in files.items():
            (directory / f'{name}.jpg').write_bytes(content)
    return fates


def curate(source, out, **kwargs):
    settings = dict(detector=DETECTOR, filters=[dict(type='tests.pretrain.curation_callables.dark')], batch_size=4)
    curator = Curator(Source(source, unit_size=7, cache_dir=Path(out) / 'index'), out, **{**settings, **kwargs})
    for unit in curator.source.units:
        curator.detect(unit)
    curator.deduplicate()
    for unit in curator.source.units:
        curator.write(unit)
    return curator


@pytest.mark.parametrize('sharded', [True, False])
def test_every_picture_meets_its_fate(tmp_path, sharded):
    fates = fill(tmp_path / 'in', sharded=sharded)
    curator = curate(tmp_path / 'in', tmp_path / 'out')
    judged = {row['path'].removesuffix('.jpg'): row['rejected'] or 'kept'
              for unit in curator.source.units for row in curator.judged(unit)}
    assert judged == fates
    counts = curator.report()
    assert counts == {fate: list(fates.values()).count(fate) for fate in set(fates.values())}
    report = (tmp_path / 'out/report.md').read_text()
    assert f'{len(fates)} pictures' in report and all(fate in report for fate in counts)
    assert cv2.imread(str(tmp_path / 'out/report/kept.jpg')) is not None

    sidecars = sorted((tmp_path / 'out/shards').glob('*.jsonl'))
    rows = [json.loads(line) for file in sidecars for line in file.read_text().splitlines()]
    assert [row['source'].removesuffix('.jpg') for row in rows] == [name for name, fate in fates.items() if fate == 'kept']
    assert all(row['people'] == 1 and row['scores'][0] > 0.9 and row['width'] == 128 for row in rows)
    shards = sorted((tmp_path / 'out/shards').glob('*.tar'))
    contents = [content for shard in shards for _, _, content in read_pictures(shard)]
    assert [perceptual_hash(cv2.imdecode(np.frombuffer(c, np.uint8), 1)) for c in contents] == [int(r['hash'], 16) for r in rows]
    dataset = ShardedHumanImages(str(tmp_path / 'out/shards'), quality=dict(), pipeline=[lambda r: r['img_path']])
    assert len(dataset) == len(rows)


def as_png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, 'PNG')
    return buffer.getvalue()


def test_odd_folders(tmp_path):
    """Names of any script and of one base name, endings that lie, copies in another folder, files that end early."""
    root = tmp_path / 'in'
    for folder in ('a', 'b', '日本'):
        (root / folder).mkdir(parents=True)
    files = {'a/1.jpg': as_jpeg(waves(1)), 'b/1.jpg': as_jpeg(waves(2)), '日本/人 é.jpg': as_jpeg(waves(3)),
             'a/copy.jpg': as_jpeg(waves(1), 80), 'b/2.x.png': as_jpeg(waves(4)), 'b/3.JPG': as_png(waves(5)),
             'b/half.jpg': as_jpeg(waves(6))[:-400], 'b/half.png': as_png(waves(7))[:-400], 'b/empty.jpg': b'',
             'b/text.jpg': b'not a picture', 'b/notes.txt': b'no picture either'}
    for name, content in files.items():
        (root / name).write_bytes(content)
    curator = curate(root, tmp_path / 'out')
    judged = {row['path']: row['rejected'] for unit in curator.source.units for row in curator.judged(unit)}
    unreadable = {'b/half.jpg', 'b/half.png', 'b/empty.jpg', 'b/text.jpg'}
    assert judged == {name: 'unreadable' if name in unreadable else 'duplicate' if name == 'a/copy.jpg' else None
                      for name in files if name != 'b/notes.txt'}
    assert curator.report() == dict(kept=5, duplicate=1, unreadable=4)
    written = {}
    for shard in sorted((tmp_path / 'out/shards').glob('*.tar')):
        rows = {row['path']: row for row in map(json.loads, shard.with_suffix('.jsonl').read_text().splitlines())}
        written.update({rows[key]['source']: content for _, key, content in read_pictures(shard)})
    assert written == {name: files[name] for name, reason in judged.items() if reason is None}


def test_odd_shards(tmp_path):
    """A name twice in a shard, a copy in another shard, members that are no pictures, a shard that is cut short."""
    (tmp_path / 'in').mkdir()
    writer = ShardWriter(tmp_path / 'in', 3)
    for key, seed in (('x', 1), ('y', 2), ('x', 3), ('z', 1), ('w', 4), ('v', 5)):
        writer.write(key, {'.txt': b'words', '.jpg': as_jpeg(waves(seed)), '.json': b'{}'})
    writer.close()
    last = tmp_path / 'in/shard-000001.tar'
    last.write_bytes(last.read_bytes()[:-9000])
    curator = curate(tmp_path / 'in', tmp_path / 'out')
    judged = [(row['path'], row['rejected']) for unit in curator.source.units for row in curator.judged(unit)]
    assert judged == [('x', None), ('y', None), ('x', None), ('z', 'duplicate'), ('w', None), (DAMAGED, 'unreadable')]
    assert curator.report() == dict(kept=4, duplicate=1, unreadable=1)
    dataset = ShardedHumanImages(str(tmp_path / 'out/shards'), pipeline=[lambda r: r['img_bytes']])
    assert [dataset[i] for i in range(len(dataset))] == [as_jpeg(waves(seed)) for seed in (1, 2, 3, 4)]


def test_a_kill_in_the_middle_changes_nothing(tmp_path):
    """Of one process that works alone and ends undisturbed, and of two that are killed."""
    fill(tmp_path / 'in', 40)
    config = tmp_path / 'config.py'
    config.write_text("detector = dict(type='curation_callables.BrightPeople', delay=0.05, "
                      f"calls={str(tmp_path / 'calls.txt')!r})\nbatch_size = 1\n")

    def run(out, processes, kill_after=None):
        process = subprocess.Popen(
            [sys.executable, str(ROOT / 'tools/dataset_converters/curate_images.py'), str(tmp_path / 'in'), str(out), '--config',
             str(config), '--processes', str(processes)],
            env={**os.environ, 'PYTHONPATH': f'{ROOT}:{ROOT / "tests/pretrain"}'}, stdout=subprocess.DEVNULL)
        while kill_after is not None and process.poll() is None:
            if calls() >= kill_after:
                process.kill()  # its workers have to notice
            time.sleep(0.01)
        return process.wait()

    def calls():
        return len((tmp_path / 'calls.txt').read_text().splitlines()) if (tmp_path / 'calls.txt').is_file() else 0

    def contents(out):
        return {str(f.relative_to(out)): f.read_bytes() for f in sorted(out.rglob('*')) if f.is_file()}

    assert run(tmp_path / 'whole', 1) == 0
    once = calls()
    assert run(tmp_path / 'killed', 2, kill_after=once + 17) == -signal.SIGKILL
    assert 0 < len(list((tmp_path / 'killed/rows').glob('shard*.jsonl'))) < 8
    assert run(tmp_path / 'killed', 2) == 0
    assert calls() - once <= once + 2 * 5 + 2  # a unit of each process at most was looked at again
    whole, killed = contents(tmp_path / 'whole'), contents(tmp_path / 'killed')
    assert whole == killed and len([name for name in whole if name.endswith('.tar')]) == 8


def test_duplicates_are_those_within_the_distance():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 300, dtype=np.uint64)
    for i in range(200, 300):  # one that differs from an earlier one in i % 11 bits
        bits = rng.choice(64, i % 11, replace=False)
        hashes[i] = hashes[i - 200] ^ np.uint64(sum(1 << int(b) for b in bits))
    for distance in (0, 3, 7):
        expected = [any(bin(int(a) ^ int(b)).count('1') <= distance for b in hashes[:i]) for i, a in enumerate(hashes)]
        assert find_duplicates(hashes, distance).tolist() == expected


def test_the_hash_survives_what_copies_go_through():
    picture, other = waves(1), waves(2)
    copies = [cv2.resize(picture, (64, 48), interpolation=cv2.INTER_AREA), cv2.convertScaleAbs(picture, alpha=0.9, beta=5),
              cv2.imdecode(cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 1)]
    distances = [bin(perceptual_hash(picture) ^ perceptual_hash(copy)).count('1') for copy in copies]
    assert max(distances) <= 8 < bin(perceptual_hash(picture) ^ perceptual_hash(other)).count('1')


def test_rtmdet_gives_sure_people_in_pixels_of_each_picture():
    """With made-up weights that take everything for a person, and nothing for anything else."""
    import mmdet
    config = Path(mmdet.__file__).parent / '.mim/configs/rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
    detector = RTMDetPerson(str(config), min_score=0.6)
    for head in detector.inferencer.model.bbox_head.rtm_cls:
        head.weight.data.zero_()
        head.bias.data.fill_(-8)
        head.bias.data[0] = 2
    images = [np.random.default_rng(i).integers(0, 255, (100 + 60 * i, 200, 3), dtype=np.uint8) for i in range(2)]
    for image, (boxes, scores) in zip(images, detector(images)):
        assert boxes.shape == (len(scores), 4) and len(scores) > 0 and scores.min() >= 0.6
        height, width = image.shape[:2]
        assert boxes.min() >= 0 and 0.5 * width < boxes[:, 2].max() <= width and boxes[:, 3].max() <= height
    detector.label = 1
    assert [len(scores) for _, scores in detector(images)] == [0, 0]


def test_jobs_of_a_slurm_array_share_the_units(tmp_path, monkeypatch, capsys):
    fill(tmp_path / 'in', 40)
    tool = load_tool('dataset_converters/curate_images.py')
    config = tmp_path / 'config.py'
    config.write_text(f'detector = {DETECTOR}')
    command = ['curate_images.py', str(tmp_path / 'in'), str(tmp_path / 'out'), '--config', str(config), '--steps']
    monkeypatch.setenv('SLURM_ARRAY_TASK_COUNT', '3')
    monkeypatch.setenv('SLURM_ARRAY_TASK_MIN', '4')
    monkeypatch.setenv('SLURM_ARRAY_TASK_STEP', '2')
    for task in (4, 6, 8):
        monkeypatch.setenv('SLURM_ARRAY_TASK_ID', str(task))
        monkeypatch.setattr(sys, 'argv', [*command, 'detect'])
        tool.main()
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ['3', '3', '2']
    assert len(list((tmp_path / 'out/rows').glob('*.jsonl'))) == 8
    monkeypatch.setattr(sys, 'argv', [*command, 'deduplicate'])
    with pytest.raises(tool.UserError, match='detect and write only'):
        tool.main()
    monkeypatch.setenv('SLURM_ARRAY_TASK_ID', '10')  # of an array such as 4,6,10
    with pytest.raises(tool.UserError, match='even'):
        tool.main()


def test_a_result_within_the_source_is_refused(tmp_path, monkeypatch):
    fill(tmp_path / 'in', 8, sharded=False)
    tool = load_tool('dataset_converters/curate_images.py')
    monkeypatch.setattr(sys, 'argv', ['curate_images.py', str(tmp_path / 'in'), str(tmp_path / 'in/out')])
    with pytest.raises(tool.UserError, match='part of the source'):
        tool.main()


def test_other_settings_and_missing_steps_are_refused(tmp_path):
    fill(tmp_path / 'in', 8)
    source = Source(tmp_path / 'in')
    curator = Curator(source, tmp_path / 'out', DETECTOR)
    with pytest.raises(FileNotFoundError, match='detect'):
        curator.deduplicate()
    with pytest.raises(ValueError, match='max_distance'):
        Curator(source, tmp_path / 'out', DETECTOR, max_distance=5)
    with pytest.raises(FileNotFoundError, match='write'):
        curator.report()
    (tmp_path / 'in/shard-000001.tar').unlink()
    with pytest.raises(ValueError, match='other pictures'):
        Curator(Source(tmp_path / 'in'), tmp_path / 'out', DETECTOR)
    with pytest.raises(ValueError, match='dotted path'):
        build_callable(dict(type='nowhere.to.be.found'))
