"""What a user types, from a data set to a figure, in processes of their own."""
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
import torch

from sapiens_mm.engine.cli import run_tool
from sapiens_mm.toy.dataset import make_toy_dataset
from tests.support import ROOT, load_tool

CONFIG = 'configs/pose/td-hm_sapiens-tiny_1xb8-10e_toy308-192x144.py'
LOSS = re.compile(r'Epoch\(train\)\s+\[(\d+)\]\[\s*(\d+)/\d+\].* loss: ([\d.e-]+)')


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    """Twenty small pictures of people."""
    return make_toy_dataset(tmp_path_factory.mktemp('data') / 'toy', 12, 8, size=(96, 72), workers=2, progress=False)


def options(toy, **extra) -> list[str]:
    """Overrides that make the demo's config a matter of seconds."""
    return ['--cfg-options', *(f'{loader}_dataloader.dataset.data_root={toy}' for loader in ('train', 'val', 'test')),
            'train_dataloader.batch_size=4', 'val_dataloader.batch_size=4', 'model.backbone.arch.num_layers=1',
            'default_hooks.logger.interval=1', 'default_hooks.checkpoint.interval=1', 'train_cfg.max_epochs=3',
            'randomness.seed=1', 'log_processor.window_size=1', *(f'{k}={v}' for k, v in extra.items())]


def start(*arguments, **kwargs) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, *map(str, arguments)], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}, **kwargs)


def run(*arguments, code=0) -> str:
    process = start(*arguments)
    out = process.communicate(timeout=280)[0]
    assert process.returncode == code, out[-3000:]
    return out


@pytest.fixture
def fails(monkeypatch, capsys):
    """Runs a tool in this process, which saves its start, and returns the sentence that it ends with."""

    def call(script: str, *arguments) -> str:
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(logging, 'raiseExceptions', False)  # loggers of earlier runs still hold pytest's closed streams
        monkeypatch.setattr(sys, 'argv', [script, *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            run_tool(load_tool(script.removeprefix('tools/')).main)
        err = capsys.readouterr().err
        assert exit.value.code == 1 and 'Traceback' not in err
        return err.strip().splitlines()[-1]

    return call


def losses(text: str) -> dict:
    return {(int(e), int(i)): float(loss) for e, i, loss in LOSS.findall(text)}


@pytest.fixture(scope='module')
def trained(toy, tmp_path_factory):
    """An uninterrupted run: its directory and its losses."""
    work_dir = tmp_path_factory.mktemp('whole')
    out = run('tools/train.py', CONFIG, '--work-dir', work_dir, '--no-validate', *options(toy))
    return work_dir, losses(out)


def test_killed_and_resumed_training_goes_on_with_the_same_losses(toy, trained, tmp_path):
    process = start('tools/train.py', CONFIG, '--work-dir', tmp_path, '--no-validate', *options(toy))
    for line in process.stdout:
        if 'Epoch(train)' in line and '[2][2/' in line:  # in the middle of the second epoch
            process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / 'last_checkpoint').exists()
    resumed = losses(run('tools/train.py', CONFIG, '--work-dir', tmp_path, '--no-validate', '--resume',
                         *options(toy, **{'train_dataloader.num_workers': 2})))  # nor do workers change anything
    whole = {step: loss for step, loss in trained[1].items() if step[0] > 1}
    assert set(resumed) == set(whole) and len(whole) == 6
    for step, loss in whole.items():
        assert resumed[step] == pytest.approx(loss, rel=1e-4), step


def test_evaluation_prints_and_saves_results(toy, trained, tmp_path):
    out = run('tools/test.py', CONFIG, trained[0] / 'epoch_3.pth', '--work-dir', tmp_path, '--out', tmp_path / 'out.pkl',
              '--show-dir', 'drawn', *options(toy))
    for figure in ('keypoints308/AP:', 'keypoints308/face_AP:', 'keypoints308/hands_AR:'):
        assert figure in out
    assert (tmp_path / 'out.pkl').stat().st_size
    assert list(tmp_path.rglob('drawn/*.png')) or list(tmp_path.rglob('drawn/*.jpg'))


def test_stock_mmpose_tool_trains_the_same_config(toy, trained, tmp_path):
    import mmpose
    tool = os.path.join(os.path.dirname(mmpose.__file__), '.mim', 'tools', 'train.py')
    out = run(tool, ROOT / CONFIG, '--work-dir', tmp_path, *options(toy, **{'train_cfg.max_epochs': 1}))
    ours = {step: loss for step, loss in trained[1].items() if step[0] == 1}
    assert losses(out) == pytest.approx(ours, rel=1e-4)


def test_two_processes_train(toy, tmp_path, free_port):
    process = subprocess.run(
        ['bash', 'tools/dist_train.sh', CONFIG, '2', '--work-dir', str(tmp_path), '--no-validate',
         *options(toy, **{'train_cfg.max_epochs': 1})], cwd=ROOT, text=True, capture_output=True, timeout=280,
        env={**os.environ, 'PYTHON': sys.executable, 'PYTHONPATH': str(ROOT), 'PORT': str(free_port), 'OMP_NUM_THREADS': '1'})
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-2000:]
    assert (tmp_path / 'epoch_1.pth').exists()


def _spoil(toy, tmp_path, change):
    """A copy of the data set with its training annotations changed."""
    copy = tmp_path / 'toy'
    shutil.copytree(toy, copy, symlinks=True)
    path = copy / 'annotations' / 'keypoints308_train.json'
    content = json.loads(path.read_text())
    change(content, copy)
    path.write_text(json.dumps(content))
    return copy


def _wrong_number(content, _):
    for ann in content['annotations']:
        ann['keypoints'] = ann['keypoints'][:17 * 3]


def _no_keypoints(content, _):
    for ann in content['annotations']:
        del ann['keypoints']


@pytest.mark.parametrize('change, words', [
    (_wrong_number, '17 keypoints'),
    (_no_keypoints, 'keypoints'),
    (lambda content, copy: [p.unlink() for p in (copy / 'images' / 'train').iterdir()], 'images/train/0000'),
    (lambda content, copy: [p.write_bytes(b'no picture') for p in (copy / 'images' / 'train').iterdir()], 'cannot be decoded'),
])
def test_broken_data_ends_in_one_sentence(toy, tmp_path, fails, change, words):
    copy = _spoil(toy, tmp_path, change)
    said = fails('tools/train.py', CONFIG, '--work-dir', tmp_path / 'run', '--no-validate', *options(copy))
    assert said.startswith('train.py: error: ') and words in said
    assert not list(tmp_path.rglob('*.pth'))


@pytest.mark.parametrize('change, words', [
    (['model.backbone.type=sapiens_mm.SapienViT'], 'near it: sapiens_mm.SapiensViT'),
    (['model.type=TopdownPoseEstimater'], 'near it: TopdownPoseEstimator'),
    (['model.backbone.img_size=(100,72)'], 'not divisible by the patch of 16'),
    (['train_dataloader.dataset.ann_file=annotations/none.json'], 'none.json'),
    (['optim_wrapper.paramwise_cfg.num_layers=4'], 'num_layers has no effect'),
    (['load_from=none.pth'], 'none.pth'),
])
def test_mistakes_in_the_config_end_in_one_sentence(toy, tmp_path, fails, change, words):
    said = fails('tools/train.py', CONFIG, '--work-dir', tmp_path, '--no-validate', *options(toy), *change)
    assert said.startswith('train.py: error: ') and words in said


def test_checkpoint_of_other_keypoints_is_refused(toy, trained, tmp_path, fails):
    path = tmp_path / 'other.pth'
    checkpoint = torch.load(trained[0] / 'epoch_3.pth', weights_only=False)  # our own file
    for name in ('head.final_layer.weight', 'head.final_layer.bias'):
        checkpoint['state_dict'][name] = checkpoint['state_dict'][name][:17]
    torch.save(checkpoint, path)
    said = fails('tools/test.py', CONFIG, path, '--work-dir', tmp_path, *options(toy))
    assert 'pose with 17 keypoints; the config builds' in said


@pytest.mark.parametrize('tool, option', [('tools/test.py', []), ('tools/train.py', ['--resume'])])
def test_truncated_checkpoint_is_refused(toy, trained, tmp_path, fails, tool, option):
    path = tmp_path / 'cut.pth'
    path.write_bytes((trained[0] / 'epoch_3.pth').read_bytes()[:100000])
    assert 'cut short or damaged' in fails(tool, CONFIG, *option, path, '--work-dir', tmp_path, *options(toy))


def test_browse_and_print(toy, tmp_path, fails):
    run('tools/misc/browse_dataset.py', CONFIG, '--output-dir', tmp_path, '-n', 3, *options(toy))
    assert len(list(tmp_path.glob('*.jpg'))) == 3
    assert 'sapiens_mm.SapiensPoseHead' in run('tools/misc/print_config.py', CONFIG)
    assert 'did you mean' in fails('tools/misc/print_config.py', CONFIG.replace('tiny', 'tny'))
