"""Exported networks: checked on the spot, and the same results through the inferencers."""
import json

import numpy as np
import pytest
import torch

from sapiens_mm.apis import DepthInferencer, NormalInferencer, PartsInferencer, PoseInferencer
from sapiens_mm.engine import exported
from sapiens_mm.engine.exported import Network, export, load_exported
from tests.apis.support import picture, write_dense, write_pose
from tests.support import load_tool

DENSE = dict(parts=PartsInferencer, depth=DepthInferencer, normal=NormalInferencer)


def with_packages(suffix):
    for name in ('onnx', 'onnxscript', 'onnxruntime') if suffix == 'onnx' else ():
        pytest.importorskip(name)


@pytest.fixture(scope='module')
def pose(tmp_path_factory):
    config, weights = write_pose(tmp_path_factory.mktemp('m'), 17)
    return config, PoseInferencer(str(config), str(weights), device='cpu')


@pytest.fixture(scope='module')
def written(pose, tmp_path_factory):
    """An exported pose network."""
    path = tmp_path_factory.mktemp('m') / 'x.pt2'
    report = export(pose[1].model, path, str(pose[0]))
    return path, report


@pytest.mark.parametrize('suffix', ['pt2', 'onnx'])
def test_pose(pose, written, tmp_path, suffix):
    with_packages(suffix)
    config, inferencer = pose
    path, report = written
    if suffix == 'onnx':
        path = tmp_path / 'x.onnx'
        report = export(inferencer.model, path, str(config))
    assert report['mean'] <= report['max'] <= 1e-4 * report['scale'] and report['files'] == [str(path)]
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    runs = PoseInferencer(str(config), str(path), device='cpu', trusted=suffix == 'pt2')
    assert not list(runs.model.backbone.parameters()) and not list(runs.model.head.parameters())
    boxes = [[[1, 2, 60, 80], [20, 10, 80, 100], [5, 5, 50, 50]]]
    a, b = (i([picture()], bboxes=boxes)['predictions'][0]['instances'] for i in (inferencer, runs))
    for x, y in zip(a, b):
        np.testing.assert_allclose(x['keypoint_scores'], y['keypoint_scores'], rtol=1e-3)
        near = np.abs(np.array(x['keypoints']) - y['keypoints']) < 0.05
        assert near.mean() > 0.8  # flat peaks of random weights move


@pytest.mark.parametrize('task', DENSE)
@pytest.mark.parametrize('suffix', ['pt2', 'onnx'])
def test_maps(tmp_path, task, suffix):
    with_packages(suffix)
    config, weights = write_dense(tmp_path, task)
    inferencer = DENSE[task](str(config), str(weights), device='cpu')
    path = tmp_path / f'x.{suffix}'
    export(inferencer.model, path, str(config))
    runs = DENSE[task](str(config), str(path), device='cpu', trusted=suffix == 'pt2')
    pictures = [picture(seed=i) for i in range(3)]
    for a, b in zip(*(i(pictures, batch_size=2)['predictions'] for i in (inferencer, runs))):
        if task == 'parts':
            assert (a[task] == b[task]).mean() > 0.99
        else:
            np.testing.assert_allclose(a[task], b[task], atol=1e-3)


def test_weights_beside_the_onnx_file(pose, tmp_path, monkeypatch):
    """As for networks over 2 GB. The new pair replaces an old one, and a file that needs no other leaves none."""
    with_packages('onnx')
    config, inferencer = pose
    x = torch.randn(2, 3, *inferencer.model.backbone.img_size)
    monkeypatch.setattr(exported, '_ONE_FILE', 1000)
    for _ in range(2):
        report = export(inferencer.model, tmp_path / 'x.onnx', str(config))
    assert report['files'] == [str(tmp_path / 'x.onnx'), str(tmp_path / 'x.onnx.data')]
    assert {p.name for p in tmp_path.iterdir()} == {'x.onnx', 'x.onnx.data'}
    weights = sum(p.nbytes for p in Network(inferencer.model).parameters())
    assert (tmp_path / 'x.onnx.data').stat().st_size >= 0.9 * weights
    with torch.no_grad():
        expected = Network(inferencer.model)(x)
    torch.testing.assert_close(load_exported(tmp_path / 'x.onnx', 'cpu')(x), expected, rtol=1e-3, atol=1e-3)
    moved = tmp_path / 'moved'
    moved.mkdir()
    (tmp_path / 'x.onnx').rename(moved / 'x.onnx')
    with pytest.raises(ValueError, match='cannot be read as an ONNX file'):
        load_exported(moved / 'x.onnx', 'cpu')
    monkeypatch.undo()
    export(inferencer.model, tmp_path / 'x.onnx', str(config))
    assert {p.name for p in tmp_path.iterdir()} == {'x.onnx', 'moved'}


def test_another_config_is_refused(written, tmp_path):
    other, _ = write_pose(tmp_path, 133)
    with pytest.raises(ValueError, match='outputs 17 instead of 133'):
        PoseInferencer(str(other), str(written[0]), device='cpu', trusted=True)


def test_a_pt2_file_is_read_only_where_it_is_trusted(pose, written):
    with pytest.raises(ValueError, match='trusted=True'):
        PoseInferencer(str(pose[0]), str(written[0]), device='cpu')


@pytest.mark.parametrize('suffix', ['pt2', 'onnx'])
def test_wrong_files(tmp_path, suffix):
    with_packages(suffix)
    path = tmp_path / f'x.{suffix}'
    path.write_bytes(b'junk')
    with pytest.raises(ValueError, match='cannot be read'):
        load_exported(path, 'cpu', trusted=True)
    with pytest.raises(FileNotFoundError):
        load_exported(tmp_path / f'none.{suffix}', 'cpu')


def test_another_suffix(pose, tmp_path):
    with pytest.raises(ValueError, match='.pt2'):
        export(pose[1].model, tmp_path / 'x.bin', str(pose[0]))


def test_missing_packages_are_named(pose, tmp_path, monkeypatch):
    monkeypatch.setattr(exported, 'find_spec', lambda name: None if name == 'onnxscript' else object())
    with pytest.raises(ValueError, match='pip install onnxscript$'):
        export(pose[1].model, tmp_path / 'x.onnx', str(pose[0]))
    assert not list(tmp_path.iterdir())


def test_a_network_that_differs_is_not_written(pose, tmp_path, monkeypatch):
    config, inferencer = pose
    monkeypatch.setattr(exported, 'load_exported', lambda *args, **kwargs: lambda x: torch.zeros(len(x), 17, 24, 16))
    with pytest.raises(ValueError, match='differs'):
        export(inferencer.model, tmp_path / 'x.pt2', str(config))
    assert not list(tmp_path.iterdir())


def test_tool(pose, tmp_path, monkeypatch, capsys):
    config, _ = pose
    tool = load_tool('deployment/export.py')
    monkeypatch.setattr('sys.argv', ['export.py', str(config), str(config.with_suffix('.pth')), str(tmp_path / 'x.pt2')])
    tool.main()
    out = capsys.readouterr().out
    assert 'largest difference from the model' in out and 'mean' in out and (tmp_path / 'x.pt2').is_file()
    notes = load_exported(tmp_path / 'x.pt2', 'cpu', trusted=True).notes
    assert notes['outputs'] == 17 and json.dumps(notes)
