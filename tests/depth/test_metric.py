import math

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from sapiens_mm.depth.metric import DepthMetric, align_depth


@pytest.fixture
def messages(monkeypatch):
    """What goes to the log."""
    out = []
    monkeypatch.setattr('sapiens_mm.depth.metric.print_log', lambda text, *_: out.append(text))
    return out


def sample(pred, target, mask=None, path='a.png'):
    out = SegDataSample(metainfo=dict(img_path=path))
    for name, data in (('pred_depth_map', pred), ('gt_depth_map', target), ('gt_mask', mask)):
        if data is not None:
            data = torch.as_tensor(data)
            out.set_data({name: PixelData(data=data[None] if data.ndim == 2 else data)})
    return out


def evaluate(samples, **kwargs):
    evaluator = Evaluator(DepthMetric(**kwargs))
    evaluator.process(samples)
    return {k.removeprefix('depth/'): v for k, v in evaluator.evaluate(len(samples)).items()}


@pytest.fixture
def depth():
    torch.manual_seed(0)
    return torch.rand(12, 9) + 1.5


@pytest.mark.parametrize('align', ['least_squares', 'median'])
@pytest.mark.parametrize(('scale', 'shift'), [(1, 0), (0.2, -0.3), (30, 1000), (1e-3, 0.5)])
def test_affine_transformations_are_undone(depth, align, scale, shift):
    result = evaluate([sample(scale * depth.double() + shift, depth)], align=align)
    assert result['AbsRel'] == pytest.approx(0, abs=1e-6)
    assert result['RMSE'] == pytest.approx(0, abs=1e-6)
    assert result['delta1'] == result['delta2'] == result['delta3'] == 1


def test_a_scale_is_undone(depth):
    result = evaluate([sample(5 * depth, depth)], align='scale')
    assert result['RMSE'] == pytest.approx(0, abs=1e-6)
    assert evaluate([sample(5 * depth + 1, depth)], align='scale')['RMSE'] > 0.01


def test_least_squares_is_that_of_numpy(depth):
    pred = torch.randn(12, 9)
    solution = np.linalg.lstsq(np.stack([pred.numpy().ravel(), np.ones(108)], 1), depth.numpy().ravel(), rcond=None)[0]
    assert align_depth(pred.ravel(), depth.ravel()) == pytest.approx(solution.tolist(), rel=1e-4)


def test_a_reversed_prediction_is_fitted_and_reported(depth, messages):
    result = evaluate([sample(-depth, depth)])
    assert result['RMSE'] == pytest.approx(0, abs=1e-6)
    assert result['raw_delta3'] == 0
    assert '1 of 1 predictions fit only when near and far change places' in ' '.join(messages)
    median = evaluate([sample(-depth, depth)], align='median')
    assert median['RMSE'] > 0.3  # a mean deviation has no sign


def test_closed_forms_of_the_raw_prediction():
    target = torch.tensor([[1., 2.], [4., 8.]])
    result = evaluate([sample(1.5 * target, target)], align=None)
    assert set(result) == {'AbsRel', 'RMSE', 'delta1', 'delta2', 'delta3', 'log10', 'RMSElog', 'SILog'}
    assert result['AbsRel'] == pytest.approx(0.5)
    assert result['RMSE'] == pytest.approx(0.5 * math.sqrt((1 + 4 + 16 + 64) / 4))
    assert (result['delta1'], result['delta2'], result['delta3']) == (0, 1, 1)  # 1.25^2 = 1.5625
    assert result['log10'] == pytest.approx(math.log10(1.5))
    assert result['RMSElog'] == pytest.approx(math.log(1.5))
    assert result['SILog'] == pytest.approx(0, abs=1e-4)


def test_both_are_reported(depth):
    result = evaluate([sample(2 * depth, depth)])
    assert result['AbsRel'] == pytest.approx(0, abs=1e-6)
    assert result['raw_AbsRel'] == pytest.approx(1)
    assert 'raw_AbsRel' not in evaluate([sample(2 * depth, depth)], raw=False)


def test_the_mask_decides(depth):
    mask = torch.zeros(12, 9, dtype=torch.uint8)
    mask[3:9, 2:7] = 255
    target, pred = depth.clone(), 2 * depth - 1
    pred[mask == 0] = 1e4
    target[mask == 0] = 1e10
    result = evaluate([sample(pred, target, mask)])
    assert result['RMSE'] == pytest.approx(0, abs=1e-5)


def test_without_mask_positive_finite_depths_count(depth, messages):
    target, pred = depth.clone(), 2 * depth
    target[0, 0], target[0, 1], target[0, 2], target[0, 3] = 0, -1, math.nan, math.inf
    pred[0, :4] = 1e4
    assert evaluate([sample(pred, target)], align=None)['AbsRel'] == pytest.approx(1)
    evaluate([sample(pred, target, torch.ones(12, 9))], align=None)
    assert '4 pixels inside the masks have a depth that is not finite or not above 0' in ' '.join(messages)


def test_pictures_without_depth_are_skipped_and_counted(depth, messages):
    empty = torch.zeros(12, 9)
    result = evaluate([sample(depth, depth, empty), sample(2 * depth, depth), sample(depth, depth * math.nan)], align=None)
    assert result['AbsRel'] == pytest.approx(1)
    assert '2 of 3 pictures have no pixel with a depth' in ' '.join(messages)
    with pytest.raises(ValueError, match='nothing to evaluate; check the depth files and masks'):
        evaluate([sample(depth, depth, empty)])


@pytest.mark.parametrize('align', ['least_squares', 'median', 'scale'])
def test_a_constant_prediction_becomes_a_constant(depth, align):
    result = evaluate([sample(torch.full_like(depth, 0.3), depth)], align=align)
    assert result['delta3'] == 1
    if align == 'least_squares':
        assert result['RMSE'] == pytest.approx(depth.std(correction=0).item(), rel=1e-5)
    assert math.isfinite(evaluate([sample(torch.zeros_like(depth), depth)], align=align)['RMSE'])


def test_one_pixel(depth):
    mask = torch.zeros(12, 9)
    mask[2, 3] = 1
    assert evaluate([sample(7 * depth, depth, mask)])['RMSE'] == pytest.approx(0, abs=1e-6)


def test_predictions_that_are_not_positive_fail_delta():
    target = torch.tensor([[1., 1., 1., 1.]])
    result = evaluate([sample(torch.tensor([[-1., 0., 1., 1.]]), target)], align=None, min_depth=0.1)
    assert result['delta3'] == 0.5
    assert result['log10'] == pytest.approx(0.5)
    assert result['RMSE'] == pytest.approx(math.sqrt(5 / 4))


def test_predictions_that_are_not_finite_are_not_hidden(depth, messages):
    pred = depth.clone()
    pred[0, 0] = math.nan
    result = evaluate([sample(pred, depth), sample(depth, depth)])
    assert math.isnan(result['AbsRel'])
    assert '1 of 2 predictions hold numbers that are not finite' in ' '.join(messages)


def test_averages():
    small, large = torch.ones(1, 2), torch.ones(10, 20)
    pictures = [sample(3 * small, small), sample(2 * large, large)]
    assert evaluate(pictures, align=None)['AbsRel'] == pytest.approx((2 + 1) / 2)
    assert evaluate(pictures, align=None)['RMSE'] == pytest.approx((2 + 1) / 2)
    assert evaluate(pictures, align=None, average='pixel')['AbsRel'] == pytest.approx((2 * 2 + 200) / 202)
    assert evaluate(pictures, align=None, average='pixel')['RMSE'] == pytest.approx(math.sqrt((4 * 2 + 200) / 202))


def test_against_mmseg(depth):
    from mmseg.evaluation import DepthMetric as Stock
    pred = depth * (1 + 0.3 * torch.randn(12, 9)).clamp(min=0.1)
    evaluator = Evaluator(Stock())
    evaluator.process([sample(pred, depth)])
    expected, got = evaluator.evaluate(1), evaluate([sample(pred, depth)], align=None)
    for theirs, ours in (('d1', 'delta1'), ('d2', 'delta2'), ('d3', 'delta3'), ('abs_rel', 'AbsRel'), ('rmse', 'RMSE'),
                         ('rmse_log', 'RMSElog'), ('log10', 'log10')):
        assert got[ours] == pytest.approx(float(expected[theirs]), abs=6e-5), ours  # theirs are rounded


def test_mistakes(depth):
    with pytest.raises(ValueError, match=r'pred_depth_map of a.png is 12 x 9 and gt_depth_map is 6 x 9.*load it after Resize'):
        evaluate([sample(depth, depth[:6])])
    with pytest.raises(ValueError, match='gt_mask of a.png is 3 x 9'):
        evaluate([sample(depth, depth, depth[:3])])
    with pytest.raises(ValueError, match='a.png has no gt_depth_map'):
        evaluate([sample(depth, None)])
    with pytest.raises(ValueError, match=r'must be \(1, H, W\), got \(3, 12, 9\)'):
        evaluate([sample(depth.expand(3, 12, 9), depth)])
    with pytest.raises(ValueError, match='align must be one of'):
        DepthMetric(align='mean')
    with pytest.raises(ValueError, match="average must be 'image' or 'pixel'"):
        DepthMetric(average='all')
