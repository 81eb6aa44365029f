"""The benchmark of pre-training's worth: reading curves."""
import json

import pytest

from sapiens_mm.engine.cli import UserError
from tests.support import load_tool

value = load_tool('benchmarks/pretrain_value.py')


def write(folder, *entries):
    (folder / 'vis_data').mkdir(parents=True)
    (folder / 'vis_data/scalars.json').write_text(''.join(json.dumps(entry) + '\n' for entry in entries))


def test_a_resumed_run_counts_each_epoch_once(tmp_path):
    write(tmp_path / '20260101_000000', dict(loss=2., step=1), dict(AP=0.1, step=1), dict(AP=0.2, step=2))
    write(tmp_path / '20260101_000100', dict(AP=0.3, step=2), dict(AP=0.4, step=3))
    assert value.curve(tmp_path, 'AP') == [(1, 0.1), (2, 0.3), (3, 0.4)]


def test_an_unknown_metric_is_named(tmp_path):
    write(tmp_path / '20260101_000000', dict(AP=0.1, step=1))
    with pytest.raises(UserError, match='no EPE'):
        value.curve(tmp_path, 'EPE')


def test_the_picture(tmp_path):
    file = tmp_path / 'curves.png'
    value.draw({'pre-trained': [[(1, 0.1), (2, 0.4)], [(1, 0.2), (2, 0.5)]], 'from scratch': [[(1, 0.), (2, 0.2)]]}, file, 'AP')
    assert file.stat().st_size > 1000


def test_a_finished_training_is_not_done_again(tmp_path, monkeypatch):
    monkeypatch.setattr(value.subprocess, 'run', lambda *args, **kwargs: pytest.fail('started'))
    (tmp_path / 'done').touch()
    value.train('config.py', tmp_path, [])
