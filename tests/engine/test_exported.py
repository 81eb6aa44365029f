"""Exported networks: checked on the spot, and the same results through the inferencers."""
import numpy as np
import pytest
import torch

from sapiens_mm.apis import DepthInferencer, PoseInferencer
from sapiens_mm.engine.exported import export, load_exported
from tests.apis.support import picture, write_dense, write_pose
from tests.support import load_tool


@pytest.fixture(scope='module')
def pose(tmp_path_factory):
    config, weights = write_pose(tmp_path_factory.mktemp('m'), 17)
    return config, PoseInferencer(str(config), str(weights), device='cpu')


@pytest.mark.parametrize('suffix', ['pt2', 'onnx'])
def test_pose(pose, tmp_path, suffix):
    if suffix == 'onnx':
        for name in ('onnx', 'onnxscript', 'onnxruntime'):
            pytest.importorskip(name)
    config, inferencer = pose
    report = export(inferencer.model, tmp_path / f'x.{suffix}', str(config))
    assert report['mean'] <= report['max'] <= 1e-4 * report['scale']
    exported = PoseInferencer(str(config), str(tmp_path / f'x.{suffix}'), device='cpu')
    assert not list(exported.model.backbone.parameters()) and not list(exported.model.head.parameters())
    boxes = [[[1, 2, 60, 80], [20, 10, 80, 100], [5, 5, 50, 50]]]
    a, b = (i([picture()], bboxes=boxes)['predictions'][0]['instances'] for i in (inferencer, exported))
    for x, y in zip(a, b):
        np.testing.assert_allclose(x['keypoint_scores'], y['keypoint_scores'], rtol=1e-3)
        near = np.abs(np.array(x['keypoints']) - y['keypoints']) < 0.05
        assert near.mean() > 0.8  # flat peaks of random weights move


def test_depth(tmp_path):
    config, weights = write_dense(tmp_path, 'depth')
    inferencer = DepthInferencer(str(config), str(weights), device='cpu')
    export(inferencer.model, tmp_path / 'x.pt2', str(config))
    exported = DepthInferencer(str(config), str(tmp_path / 'x.pt2'), device='cpu')
    np.testing.assert_allclose(exported(picture())['predictions'][0]['depth'], inferencer(picture())['predictions'][0]['depth'],
                               atol=1e-3)


def test_another_config_is_refused(pose, tmp_path):
    config, inferencer = pose
    export(inferencer.model, tmp_path / 'x.pt2', str(config))
    other, _ = write_pose(tmp_path, 133)
    with pytest.raises(ValueError, match='outputs 17 instead of 133'):
        PoseInferencer(str(other), str(tmp_path / 'x.pt2'), device='cpu')


def test_wrong_files(pose, tmp_path):
    config, inferencer = pose
    with pytest.raises(ValueError, match='.pt2'):
        export(inferencer.model, tmp_path / 'x.bin', str(config))
    (tmp_path / 'x.pt2').write_bytes(b'junk')
    with pytest.raises(ValueError, match='cannot be read'):
        load_exported(tmp_path / 'x.pt2', 'cpu')
    with pytest.raises(FileNotFoundError):
        load_exported(tmp_path / 'none.pt2', 'cpu')


def test_a_network_that_differs_is_not_written(pose, tmp_path, monkeypatch):
    config, inferencer = pose
    monkeypatch.setattr('sapiens_mm.engine.exported.load_exported', lambda path, device: lambda x: torch.zeros(len(x), 17, 24, 16))
    with pytest.raises(ValueError, match='differs'):
        export(inferencer.model, tmp_path / 'x.pt2', str(config))
    assert not list(tmp_path.iterdir())


def test_tool(pose, tmp_path, monkeypatch, capsys):
    config, _ = pose
    tool = load_tool('deployment/export.py')
    monkeypatch.setattr('sys.argv', ['export.py', str(config), str(config.with_suffix('.pth')), str(tmp_path / 'x.pt2')])
    tool.main()
    assert 'largest difference from the model' in capsys.readouterr().out and (tmp_path / 'x.pt2').is_file()
    assert load_exported(tmp_path / 'x.pt2', 'cpu').notes['outputs'] == 17
