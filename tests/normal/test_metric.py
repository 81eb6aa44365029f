import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from sapiens_mm.normal.metric import NormalMetric, angular_error


@pytest.fixture
def messages(monkeypatch):
    """What goes to the log."""
    out = []
    monkeypatch.setattr('sapiens_mm.normal.metric.print_log', lambda text, *_: out.append(text))
    return out


def sample(pred, target, mask=None):
    out = SegDataSample(metainfo=dict(img_path='a.png'))
    for name, data in (('pred_normal_map', pred), ('gt_normal_map', target), ('gt_mask', mask)):
        if data is not None:
            out.set_data({name: PixelData(data=data)})
    return out


def evaluate(samples):
    evaluator = Evaluator(NormalMetric())
    evaluator.process(samples)
    return {k.removeprefix('normal/'): v for k, v in evaluator.evaluate(len(samples)).items()}


def turned(*degrees):
    """Predictions (3, 1, N) that are so far from z, and z."""
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    pred = torch.stack([angle.sin(), torch.zeros_like(angle), angle.cos()])[:, None]
    target = torch.zeros_like(pred)
    target[2] = 1
    return pred, target


@pytest.mark.parametrize('degrees', [0, 1e-6, 1e-3, 4.99, 60, 90, 179.9999, 180])
def test_angles_are_exact(degrees):
    pred, target = turned(degrees)
    assert angular_error(pred[:, 0].T, target[:, 0].T).item() == pytest.approx(degrees, abs=1e-9)
    assert angular_error(1e-30 * pred[:, 0].T, 1.3 * target[:, 0].T).item() == pytest.approx(degrees, abs=1e-9)


def test_closed_forms():
    result = evaluate([sample(*turned(0, 4.9, 5.1, 20, 29.9, 90))])
    assert result['mean'] == pytest.approx((4.9 + 5.1 + 20 + 29.9 + 90) / 6)
    assert result['RMSE'] == pytest.approx(math.sqrt((4.9**2 + 5.1**2 + 20**2 + 29.9**2 + 90**2) / 6))
    assert result['median'] == pytest.approx((5.1 + 20) / 2, abs=0.01)
    assert [result[f'within_{t}'] for t in ('5', '11.25', '22.5', '30')] == pytest.approx([2 / 6, 3 / 6, 4 / 6, 5 / 6])


@pytest.mark.parametrize(('scale', 'bound'), [(10, 0.01), (100, 0.1)])
@pytest.mark.parametrize('count', [1, 2, 999, 1000])
def test_the_median_is_as_close_as_it_says(scale, bound, count):
    degrees = (torch.rand(count, dtype=torch.float64) * scale).tolist()
    result = evaluate([sample(*turned(*degrees))])
    assert abs(result['median'] - np.median(degrees)) <= bound
    assert result['mean'] == pytest.approx(np.mean(degrees))


def test_pixels_are_pooled():
    result = evaluate([sample(*turned(10, 10, 10)), sample(*turned(50))])
    assert result['mean'] == pytest.approx(20)
    assert result['median'] == pytest.approx(10, abs=0.01)


def test_a_rotated_prediction_of_any_length():
    torch.manual_seed(0)
    target = F.normalize(torch.randn(3, 40, 30), dim=0)
    other = torch.linalg.cross(target, torch.randn(3, 40, 30), dim=0)
    other = F.normalize(other, dim=0)
    angle = math.radians(12)
    pred = (math.cos(angle) * target + math.sin(angle) * other) * (torch.rand(1, 40, 30) * 5 + 0.01)
    result = evaluate([sample(pred, target)])
    assert result['mean'] == pytest.approx(12, abs=1e-4)
    assert result['RMSE'] == pytest.approx(12, abs=1e-4)
    assert (result['within_11.25'], result['within_22.5']) == (0, 1)


def test_the_mask_decides():
    pred, target = turned(10, 90, 90)
    mask = torch.tensor([[[255, 0, 0]]], dtype=torch.uint8)
    assert evaluate([sample(pred, target, mask)])['mean'] == pytest.approx(10)


def test_targets_without_direction_do_not_count(messages):
    pred, target = turned(10, 90, 90, 90, 20)
    target[:, 0, 1], target[:, 0, 2], target[:, 0, 3] = 0, math.nan, -1000
    assert evaluate([sample(pred, target)])['mean'] == pytest.approx(15)
    assert evaluate([sample(pred, target, torch.ones(1, 1, 5))])['mean'] == pytest.approx(15)
    assert '3 pixels inside the masks have no target of length 1' in ' '.join(messages)


def test_pictures_without_normals_are_skipped_and_counted(messages):
    pred, target = turned(10)
    assert evaluate([sample(pred, target), sample(pred, target, torch.zeros(1, 1, 1))])['mean'] == pytest.approx(10)
    assert '1 of 2 pictures have no pixel with a direction' in ' '.join(messages)
    with pytest.raises(ValueError, match='nothing to evaluate; check the normal files and masks'):
        evaluate([sample(pred, 0 * target)])


def test_predictions_without_direction():
    pred, target = turned(10, 10)
    pred[:, 0, 0] = 0
    assert evaluate([sample(pred, target)])['mean'] == pytest.approx(50)
    pred[:, 0, 0] = math.nan
    result = evaluate([sample(pred, target)])
    assert math.isnan(result['mean'])
    assert math.isnan(result['median'])
    assert result['within_30'] == 0.5


def test_large_pictures_in_pieces(monkeypatch):
    torch.manual_seed(0)
    pred, target = torch.randn(3, 30, 40), F.normalize(torch.randn(3, 30, 40), dim=0)
    whole = evaluate([sample(pred, target)])
    monkeypatch.setattr('sapiens_mm.normal.metric._CHUNK', 7)
    assert evaluate([sample(pred, target)]) == pytest.approx(whole)


def test_mistakes():
    pred, target = turned(1, 2)
    with pytest.raises(ValueError, match=r'pred_normal_map of a.png is 1 x 1 and gt_normal_map is 1 x 2'):
        evaluate([sample(pred[:, :, :1], target)])
    with pytest.raises(ValueError, match=r'must be \(3, H, W\), got \(1, 1, 2\)'):
        evaluate([sample(pred[:1], target)])
