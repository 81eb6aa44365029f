import math

import pytest
import torch
from mmseg.models.losses import SiLogLoss

from sapiens_mm.depth.losses import ScaleInvariantLogLoss


def gradient(loss, pred, target):
    pred = pred.clone().requires_grad_()
    value = loss(pred, target)
    value.backward()
    return value.item(), pred.grad


@pytest.mark.parametrize('seed', range(5))
def test_values_and_gradients_are_those_of_mmseg(seed):
    torch.manual_seed(seed)
    pred, target = torch.randn(3, 1, 9, 7) + 0.5, torch.rand(3, 1, 9, 7)
    target[torch.rand_like(target) < 0.4] = -1
    value, grad = gradient(ScaleInvariantLogLoss(slope=0), pred, target)
    expected, expected_grad = gradient(SiLogLoss(), pred, target)
    assert value == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(grad, expected_grad)
    assert gradient(ScaleInvariantLogLoss(), pred, target)[0] == value


def test_a_wrong_scale_costs_a_fixed_amount():
    target = torch.rand(2, 1, 8, 8) + 0.1
    value, _ = gradient(ScaleInvariantLogLoss(loss_weight=2.), 3 * target, target)
    assert value == pytest.approx(2 * math.log(3) * math.sqrt(0.5), rel=1e-5)


@pytest.mark.parametrize('case', ['perfect', 'empty', 'one empty', 'negative everywhere', 'zero', 'nearest pixel', 'nan',
                                  'infinite', 'nan target', 'tiny difference', 'huge'])
def test_gradients_are_finite(case):
    target = torch.rand(2, 1, 6, 6) * 0.9 + 0.1
    pred = torch.rand(2, 1, 6, 6) + 0.1
    if case == 'perfect':
        pred = target.clone()
    elif case == 'empty':
        target.fill_(-1)
    elif case == 'one empty':
        target[1] = -1
    elif case == 'negative everywhere':
        pred = -pred
    elif case == 'zero':
        pred.zero_()
    elif case == 'nearest pixel':
        target[:, :, 0, 0] = 0
    elif case == 'nan':
        pred[0, 0, 0, :3] = math.nan
    elif case == 'infinite':
        pred[0, 0, 0, :3], pred[1, 0, 0, 0] = math.inf, -math.inf
    elif case == 'nan target':
        target[0, 0, 0, :3], target[1, 0, 0, 0] = math.nan, math.inf
    elif case == 'tiny difference':
        pred = target * (1 + 1e-7)
    elif case == 'huge':
        pred = pred * 1e30
    value, grad = gradient(ScaleInvariantLogLoss(), pred, target)
    assert math.isfinite(value)
    assert grad.isfinite().all()
    if case in ('perfect', 'empty'):
        assert value == 0
        assert not grad.any()


def test_a_network_that_starts_negative_learns():
    target = torch.rand(1, 1, 8, 8) * 0.8 + 0.2
    pred = torch.full_like(target, -0.5).requires_grad_()
    optimizer, loss = torch.optim.Adam([pred], 0.05), ScaleInvariantLogLoss()
    start = loss(pred, target).item()
    for _ in range(300):
        optimizer.zero_grad()
        loss(pred, target).backward()
        optimizer.step()
    assert (pred > 0).all()
    assert loss(pred, target).item() < start / 100


def test_background_has_no_gradient():
    target, pred = torch.rand(1, 1, 6, 6) + 0.1, torch.rand(1, 1, 6, 6) - 0.3
    target[..., :3] = -1
    _, grad = gradient(ScaleInvariantLogLoss(), pred, target)
    assert not grad[..., :3].any()
    assert grad[..., 3:].all()


def test_half_precision_is_computed_in_single():
    pred, target = torch.rand(1, 1, 6, 6).bfloat16(), torch.rand(1, 1, 6, 6)
    loss = ScaleInvariantLogLoss()
    assert loss(pred, target) == loss(pred.float(), target)


def test_sample_weights():
    pred, target = torch.rand(2, 1, 6, 6) + 0.1, torch.rand(2, 1, 6, 6) + 0.1
    loss = ScaleInvariantLogLoss()
    assert loss(pred, target, torch.tensor([1., 0.])) == pytest.approx(loss(pred[:1], target[:1]).item() / 2)


def test_mistakes():
    with pytest.raises(ValueError, match='same shape'):
        ScaleInvariantLogLoss()(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 5))
    with pytest.raises(ValueError, match='eps must be above 0'):
        ScaleInvariantLogLoss(eps=0)
