"""The commands of the demos, as a user types them, and the page."""
import importlib.util
import json
import sys
import threading
import urllib.error
import urllib.request

import cv2
import numpy as np
import pytest

from sapiens_mm.apis import PartsInferencer, PoseInferencer
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
    writer = cv2.VideoWriter(str(tmp_path / 'v.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 5, (90, 120))
    for i in range(3):
        writer.write(picture(seed=i))
    writer.release()
    run(monkeypatch, demo('video_demo'), tmp_path / 'v.avi', *made['pose'], '--out-dir', tmp_path / 'out', '--track',
        '--no-flip-test')
    assert '3 frames' in capsys.readouterr().out
    frames = json.loads((tmp_path / 'out' / 'v' / 'keypoints.json').read_text())['frames']
    assert [f['instances'][0]['track_id'] for f in frames] == [1, 1, 1]


@pytest.fixture
def page(made):
    module = demo('webui')
    inferencers = dict(pose=PoseInferencer(*map(str, made['pose']), device='cpu'),
                       parts=PartsInferencer(*map(str, made['parts']), device='cpu'))
    server = module.make_server(inferencers, '127.0.0.1', 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/'
    server.shutdown()
    server.server_close()


def post(url, content):
    return json.loads(urllib.request.urlopen(urllib.request.Request(url, data=content), timeout=60).read())


def test_page(page):
    html = urllib.request.urlopen(page).read().decode()
    assert '<option>pose</option><option>parts</option>' in html and 'OPTIONS' not in html
    content = cv2.imencode('.png', picture())[1].tobytes()
    for task, suffix in (('pose', 'json'), ('parts', 'png')):
        got = post(f'{page}run?task={task}&name=a%20b.png', content)
        assert got['said'] == f'{task}: 90 x 120 pixels' and got['overlay'].startswith('data:image/jpeg;base64,')
        assert [f['name'] for f in got['files']] == [f'ab.{suffix}', f'ab_{task}.jpg']
    overlay = urllib.request.urlopen(got['overlay']).read()
    assert cv2.imdecode(np.frombuffer(overlay, np.uint8), cv2.IMREAD_COLOR).shape == (120, 90, 3)


@pytest.mark.parametrize('query, content, says', [('task=pose&name=../../x.png', b'no picture', 'cannot be decoded'),
                                                  ('task=albedo', b'x', 'no such task')])
def test_page_says_what_is_wrong(page, query, content, says):
    with pytest.raises(urllib.error.HTTPError) as error:
        post(f'{page}run?{query}', content)
    assert error.value.code == 400 and says in json.loads(error.value.read())['error']
