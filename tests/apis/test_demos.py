"""The commands of the demos, as a user types them."""
import importlib.util
import json
import sys

import cv2
import pytest

from tests.apis.support import picture, write_dense, write_pose
from tests.support import ROOT


def demo(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / 'demo' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp('m')
    return dict(pose=write_pose(folder, 308), parts=write_dense(folder, 'parts'))


def run(monkeypatch, module, *args):
    monkeypatch.setattr(sys, 'argv', ['demo.py', *map(str, args), '--device', 'cpu'])
    return module.main()


def test_pictures(made, tmp_path, monkeypatch, capsys):
    (tmp_path / 'in').mkdir()
    cv2.imwrite(str(tmp_path / 'in' / 'a.png'), picture())
    (tmp_path / 'in' / 'b.png').write_bytes(b'x')
    module = demo('image_demo')
    assert run(monkeypatch, module, tmp_path / 'in', *made['pose'], '--out-dir', tmp_path / 'out', '--keypoints', '17',
               '--no-flip-test', '--precision', 'bf16') == 1
    out = capsys.readouterr().out
    assert '2 pictures' in out and out.count('left out') == 1
    assert len(json.loads((tmp_path / 'out' / 'a.json').read_text())['keypoint_names']) == 17
    assert run(monkeypatch, module, tmp_path / 'in' / 'a.png', *made['parts'], '--out-dir', tmp_path / 'parts') == 0
    assert (tmp_path / 'parts' / 'a.png').is_file()
    assert run(monkeypatch, module, tmp_path / 'in' / 'a.png', *made['parts'], '--out-dir', tmp_path / 'features',
               '--task', 'features', '--format', 'npz') == 0
    assert (tmp_path / 'features' / 'a.npz').is_file()


def test_video(made, tmp_path, monkeypatch, capsys):
    pytest.importorskip('lap')
    writer = cv2.VideoWriter(str(tmp_path / 'v.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 5, (90, 120))
    for i in range(3):
        writer.write(picture(seed=i))
    writer.release()
    run(monkeypatch, demo('video_demo'), tmp_path / 'v.avi', *made['pose'], '--out-dir', tmp_path / 'out', '--track',
        '--no-flip-test')
    assert '3 frames' in capsys.readouterr().out
    frames = json.loads((tmp_path / 'out' / 'v' / 'keypoints.json').read_text())['frames']
    assert [f['instances'][0]['track_id'] for f in frames] == [1, 1, 1]
