import math

import pytest
import torch
import torch.nn.functional as F

from sapiens_mm.normal.losses import NormalCosineLoss, NormalL1Loss

BOTH = [NormalCosineLoss, NormalL1Loss]


def normals(batch=2, size=6):
    return F.normalize(torch.randn(batch, 3, size, size), dim=1)


def gradient(loss, pred, target):
    pred = pred.clone().requires_grad_()
    value = loss(pred, target)
    value.backward()
    return value.item(), pred.grad


def test_closed_forms():
    target = torch.zeros(1, 3, 2, 2)
    target[:, 2] = 1
    angle = torch.tensor(math.radians(60))
    pred = torch.stack([angle.sin(), torch.tensor(0.), angle.cos()])[None, :, None, None].expand(1, 3, 2, 2)
    assert NormalCosineLoss()(pred, target).item() == pytest.approx(0.5)
    assert NormalCosineLoss()(7 * pred, target).item() == pytest.approx(0.5)  # length does not count
    assert NormalL1Loss()(pred, target).item() == pytest.approx(math.sin(math.radians(60)) + 0.5)
    assert NormalL1Loss(loss_weight=3.)(pred, target).item() == pytest.approx(3 * (math.sin(math.radians(60)) + 0.5))


@pytest.mark.parametrize('loss', BOTH)
def test_averages_over_the_valid_pixels_of_the_batch(loss):
    pred, target = torch.randn(2, 3, 6, 6), normals()
    whole = [loss()(pred[i:i + 1], target[i:i + 1]).item() for i in range(2)]
    target = target.clone()
    target[0, :, :3] = -1000
    first = loss()(pred[:1, :, 3:], target[:1, :, 3:]).item()
    assert loss()(pred, target).item() == pytest.approx((first * 18 + whole[1] * 36) / 54, rel=1e-5)


@pytest.mark.parametrize('loss', BOTH)
@pytest.mark.parametrize('case', ['perfect', 'empty', 'zero prediction', 'zero target', 'nan prediction', 'nan target', 'opposite'])
def test_gradients_are_finite(loss, case):
    pred, target = torch.randn(2, 3, 6, 6), normals()
    if case == 'perfect':
        pred = target.clone()
    elif case == 'empty':
        target = torch.full_like(target, -1000)
    elif case == 'zero prediction':
        pred[0] = 0
    elif case == 'zero target':
        target[0] = 0
    elif case == 'nan prediction':
        pred[0, 1, 0], pred[1, 0, 0, 0] = math.nan, math.inf
    elif case == 'nan target':
        target[0, 1, 0] = math.nan
    elif case == 'opposite':
        pred = -target
    value, grad = gradient(loss(), pred, target)
    assert math.isfinite(value)
    assert grad.isfinite().all()
    if case == 'empty':
        assert value == 0
        assert not grad.any()
    elif case == 'perfect':
        assert value == pytest.approx(0, abs=1e-6)
    elif case == 'zero target':
        assert not grad[0].any()
        assert value == pytest.approx(loss()(pred[1:], target[1:]).item())


def test_l1_draws_the_length_to_one():
    target = normals()
    _, grad = gradient(NormalL1Loss(), 2 * target, target)
    assert ((grad * target).sum(1) > 0).all()


@pytest.mark.parametrize('loss', BOTH)
def test_mistakes(loss):
    with pytest.raises(ValueError, match=r'must both be \(B, 3, H, W\)'):
        loss()(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4))


def test_names_in_the_log():
    assert NormalCosineLoss().loss_name == 'loss_cosine_sim'
    assert NormalL1Loss(loss_name='loss_other').loss_name == 'loss_other'
