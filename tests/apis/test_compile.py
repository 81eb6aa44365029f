"""``compile=True``: one compiled block serves all, for any batch, with the same results."""
import shutil

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

from sapiens_mm.apis import FeatureInferencer, PoseInferencer
from tests.apis.support import picture, write_pose


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A tiny model with blocks that differ in stochastic depth, as in training."""
    config, weights = write_pose(tmp_path_factory.mktemp('m'), 17)
    config.write_text(config.read_text().replace('img_size=(96, 64))', 'img_size=(96, 64), drop_path_rate=0.3)'))
    return str(config), str(weights)


@pytest.fixture(autouse=True)
def forget():
    yield
    torch._dynamo.reset()


def with_eager(monkeypatch):
    """Only what takes long is left out: making machine code of the graphs."""
    compile = torch.compile
    monkeypatch.setattr(torch, 'compile', lambda *args, **kwargs: compile(*args, **dict(kwargs, backend='eager')))


@pytest.mark.parametrize('build', [PoseInferencer, FeatureInferencer])
def test_batches_of_any_size(made, monkeypatch, build):
    with_eager(monkeypatch)
    plain, compiled = (build(*made, device='cpu', compile=c) for c in (False, True))
    pictures, graphs = [picture(seed=i) for i in range(6)], []
    counters.clear()
    for number in (4, 3, 1, 4, 2, 6, 5, 1):
        found, expected = ([p['features'] if build is FeatureInferencer else p['instances'][0]['keypoint_scores']
                            for p in i(pictures[:number], batch_size=4)['predictions']] for i in (compiled, plain))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        graphs.append(counters['stats']['unique_graphs'])
    assert graphs[2] <= 3 and set(graphs[2:]) == {graphs[2]}  # this batch, any batch, a single sample; each for both blocks


def test_machine_code(made):
    if not any(map(shutil.which, ('c++', 'g++', 'clang++'))):
        pytest.skip('torch.compile needs a C++ compiler')
    plain, compiled = (PoseInferencer(*made, device='cpu', compile=c) for c in (False, True))
    pictures = [picture(seed=i) for i in range(2)]
    a, b = ([p['instances'][0]['keypoint_scores'] for p in i(pictures)['predictions']] for i in (plain, compiled))
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_exported_models_are_not_compiled(made, tmp_path):
    with pytest.raises(ValueError, match='leave compile out'):
        PoseInferencer(made[0], str(tmp_path / 'x.onnx'), device='cpu', compile=True)
