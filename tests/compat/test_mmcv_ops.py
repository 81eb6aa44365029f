"""The stand-in for mmcv's compiled operators."""
import importlib
import importlib.util
import inspect
import math
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

import sapiens_mm  # noqa: F401 - installs the stand-in's finder
from sapiens_mm.compat import mmcv_ext
from sapiens_mm.compat.mmcv_ops import CompiledOpMissingError, _StandIn, _StandInFinder


@pytest.fixture
def boxes():
    """40 boxes of an overlapping crowd, (N, 4), and distinct scores (N,)."""
    generator = torch.Generator().manual_seed(3)
    corner = torch.rand(40, 2, generator=generator) * 30
    size = 10 + torch.rand(40, 2, generator=generator) * 40
    return torch.cat([corner, corner + size], dim=1), torch.randperm(40, generator=generator) / 40 + 0.01


def iou(a, b, offset):
    width = max(0., min(a[2], b[2]) - max(a[0], b[0]) + offset)
    height = max(0., min(a[3], b[3]) - max(a[1], b[1]) + offset)
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [0.2, 0.4, 0.6])
def test_nms_is_greedy_suppression(boxes, offset, threshold):
    boxes, scores = boxes
    expected = []
    for index in scores.argsort(descending=True).tolist():
        if all(iou(boxes[index].tolist(), boxes[kept].tolist(), offset) <= threshold for kept in expected):
            expected.append(index)
    assert 1 < len(expected) < 40
    assert mmcv_ext.nms(boxes, scores, iou_threshold=threshold, offset=offset).tolist() == expected


def test_nms_of_nothing():
    assert mmcv_ext.nms(torch.zeros(0, 4), torch.zeros(0), iou_threshold=0.5, offset=0).shape == (0, )


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('method', [0, 1, 2])
def test_softnms_decays_scores(boxes, method, offset):
    boxes, scores = boxes
    threshold, sigma, min_score = 0.3, 0.5, 0.05
    decayed, left, expected = scores.tolist(), list(range(40)), []
    while left:
        best = max(left, key=lambda index: decayed[index])
        expected.append((best, decayed[best]))
        left.remove(best)
        for index in left:
            overlap = iou(boxes[best].tolist(), boxes[index].tolist(), offset)
            if method == 2:
                decayed[index] *= math.exp(-overlap**2 / sigma)
            elif overlap >= threshold:
                decayed[index] *= 1 - overlap if method == 1 else 0
        left = [index for index in left if decayed[index] >= min_score]
    dets = torch.empty(40, 5)
    before = scores.clone()
    kept = mmcv_ext.softnms(boxes, scores, dets, iou_threshold=threshold, sigma=sigma, min_score=min_score,
                            method=method, offset=offset)
    assert 1 < len(expected) < 40
    assert kept.tolist() == [index for index, _ in expected]
    torch.testing.assert_close(dets[:len(kept), 4], torch.tensor([score for _, score in expected]))
    torch.testing.assert_close(dets[:len(kept), :4], boxes[kept])
    assert torch.equal(scores, before)


def test_softnms_of_nothing():
    kept = mmcv_ext.softnms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, 5), iou_threshold=0.3, sigma=0.5,
                            min_score=0., method=1, offset=0)
    assert kept.shape == (0, ) and kept.dtype == torch.long


def bilinear(plane, y, x):
    """Value of a plane (H, W) at a point inside it, from the four pixel centres around."""
    top, left = int(np.floor(y)), int(np.floor(x))
    bottom, right = min(top + 1, plane.shape[0] - 1), min(left + 1, plane.shape[1] - 1)
    dy, dx = y - top, x - left
    return ((1 - dy) * (1 - dx) * plane[top, left] + (1 - dy) * dx * plane[top, right] +
            dy * (1 - dx) * plane[bottom, left] + dy * dx * plane[bottom, right])


ALIGN = dict(aligned_height=3, aligned_width=2, spatial_scale=0.5, sampling_ratio=2, pool_mode=1)


@pytest.mark.parametrize('aligned', [True, False])
def test_roi_align_averages_samples(aligned):
    features = torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(0))
    rois = torch.tensor([[0., 2., 3., 14., 20.], [1., 4.5, 2.2, 11., 9.]])
    output = torch.zeros(2, 3, 3, 2)
    mmcv_ext.roi_align_forward(features, rois, output, torch.zeros(0), torch.zeros(0), aligned=aligned, **ALIGN)
    shift = 0.5 if aligned else 0.
    for k, (image, *corners) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (corner * 0.5 - shift for corner in corners)
        for row in range(3):
            for column in range(2):
                points = [(y1 + (y2 - y1) / 3 * (row + (i + 0.5) / 2), x1 + (x2 - x1) / 2 * (column + (j + 0.5) / 2))
                          for i in range(2) for j in range(2)]
                for channel in range(3):
                    plane = features[int(image), channel].numpy()
                    expected = np.mean([bilinear(plane, y, x) for y, x in points])
                    assert output[k, channel, row, column].item() == pytest.approx(expected, rel=1e-5)


def test_roi_align_backward_is_the_gradient_of_forward():
    rois = torch.tensor([[0., 2., 3., 14., 20.], [0., 1., 1., 9., 9.]])
    grad_output = torch.rand(2, 1, 3, 2, generator=torch.Generator().manual_seed(1))
    grad = torch.zeros(1, 1, 12, 10)
    mmcv_ext.roi_align_backward(grad_output, rois, torch.zeros(0), torch.zeros(0), grad, aligned=True, **ALIGN)
    # The operation is linear: its gradient in a pixel is its response to that pixel alone.
    for y, x in [(0, 0), (2, 3), (5, 5), (9, 6)]:
        pixel = torch.zeros(1, 1, 12, 10)
        pixel[0, 0, y, x] = 1
        response = torch.zeros(2, 1, 3, 2)
        mmcv_ext.roi_align_forward(pixel, rois, response, torch.zeros(0), torch.zeros(0), aligned=True, **ALIGN)
        assert grad[0, 0, y, x].item() == pytest.approx((response * grad_output).sum().item(), abs=1e-6)
    assert grad.abs().sum() > 0


def test_roi_align_by_maximum_is_refused():
    with pytest.raises(CompiledOpMissingError, match="roi_align_forward.*pool_mode='max'"):
        mmcv_ext.roi_align_forward(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5), torch.zeros(1, 1, 3, 2),
                                   torch.zeros(0), torch.zeros(0), aligned=True, **{**ALIGN, 'pool_mode': 0})


def stand_in():
    module = _StandIn('mmcv._ext')
    for name in mmcv_ext.__all__:
        setattr(module, name, getattr(mmcv_ext, name))
    return module


def test_any_other_operator_is_named_when_called():
    operator = stand_in().deform_conv_forward
    with pytest.raises(NotImplementedError, match="'deform_conv_forward' needs mmcv with compiled operators.*pip"):
        operator(1, 2, three=3)


def test_dunders_are_absent():
    module = stand_in()
    with pytest.raises(AttributeError):
        getattr(module, '__wrapped__')  # noqa: B009
    assert inspect.unwrap(module) is module


def test_finder_is_last_and_serves_one_name():
    finder = _StandInFinder()
    assert finder.find_spec('mmcv._ext') is not None
    assert finder.find_spec('mmcv.ops') is None and finder.find_spec('_ext') is None
    places = [index for index, finder in enumerate(sys.meta_path) if isinstance(finder, _StandInFinder)]
    path_finder = sys.meta_path.index(importlib.import_module('importlib.machinery').PathFinder)
    assert len(places) == 1 and places[0] > path_finder


def run(code, **kwargs):
    return subprocess.run([sys.executable, '-c', textwrap.dedent(code)], capture_output=True, text=True, **kwargs)


def test_stand_in_keeps_out_of_the_way_of_a_real_extension(tmp_path):
    """A package `mmcv` with an extension module of its own, in a fresh process."""
    package = tmp_path / 'mmcv'
    package.mkdir()
    (package / '__init__.py').write_text('')
    (package / '_ext.py').write_text('nms = "compiled"\n')
    done = run(f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import sapiens_mm
        import mmcv._ext
        from sapiens_mm.compat import CURES
        state = {{cure.name: cure.state for cure in CURES}}['mmcv-ops']
        print(mmcv._ext.nms, state, hasattr(mmcv._ext, 'anything'))
        """)
    assert done.stdout.split('\n')[0] == 'compiled not needed False', done.stderr


def test_extension_for_another_torch_is_explained(tmp_path):
    package = tmp_path / 'mmcv'
    package.mkdir()
    (package / '__init__.py').write_text('')
    (package / '_ext.py').write_text('raise ImportError("_ext.so: undefined symbol: _ZN3c10")\n')
    done = run(f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import sapiens_mm, mmcv._ext
        """)
    assert done.returncode != 0
    assert 'compiled operators were built for another torch' in done.stderr.strip().split('\n')[-1]


def test_stock_libraries_import():
    for module in ('mmcv.ops', 'mmpose.models', 'mmpose.datasets', 'mmseg.models', 'mmdet.models'):
        importlib.import_module(module)
    from mmcv.ops import batched_nms
    dets, kept = batched_nms(torch.tensor([[0., 0., 9., 9.], [1., 1., 9., 9.], [50., 50., 60., 60.]]),
                             torch.tensor([.5, .9, .7]), torch.tensor([0, 0, 1]), dict(type='nms', iou_threshold=0.5))
    assert kept.tolist() == [1, 2]
