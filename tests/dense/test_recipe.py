"""The losses that the configs name, from the head's map to the number that is minimised, against the recipe's formulas in NumPy."""
import math

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from tests.dense.support import build
from tests.support import ROOT

BASES = ROOT / 'configs/_base_'
SIZE = (11, 7)
PRECISIONS = (torch.float32, torch.float16, torch.bfloat16)


def make_head(task: str):
    """A small head with the losses of the task's base config."""
    if task.startswith('parts'):
        loss = Config.fromfile(BASES / f'datasets/{task}.py').parts_loss
        kind, classes = 'SapiensPartsHead', dict(num_classes=dict(parts28=28, parts_face=19).get(task, 20))
    else:
        loss = Config.fromfile(BASES / f'models/sapiens_{task}.py').model.decode_head.loss_decode
        kind, classes = f'Sapiens{task.capitalize()}Head', {}
    return build(dict(type=f'sapiens_mm.{kind}', in_channels=6, deconv_out_channels=(8, ), deconv_kernel_sizes=(4, ),
                      conv_out_channels=(8, ), conv_kernel_sizes=(1, ), loss_decode=loss, **classes), 'MODELS')


def samples(**fields):
    """Data samples of batches (B, ...) of fields."""
    out = [SegDataSample() for _ in next(iter(fields.values()))]
    for name, batch in fields.items():
        for sample, data in zip(out, batch):
            sample.set_data({name: PixelData(data=data)})
    return out


def total(losses: dict) -> torch.Tensor:
    """What mmengine minimises."""
    return BaseModel.parse_losses(None, losses)[0]


def enlarge(x: np.ndarray, size: tuple) -> np.ndarray:
    """(B, K, h, w) to (B, K, H, W): bilinear between the middles of pixels, beyond the outermost of which nothing changes."""
    for axis, length in zip((2, 3), size):
        at = np.clip((np.arange(length) + 0.5) * x.shape[axis] / length - 0.5, 0, x.shape[axis] - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape([-1 if i == axis else 1 for i in range(4)])
        x = np.take(x, low, axis) * (1 - share) + np.take(x, np.minimum(low + 1, x.shape[axis] - 1), axis) * share
    return x


def cross_entropy(logits: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> float:
    """Weighted by class and divided by the number of all pixels, ignored ones among them."""
    log = logits - logits.max(1, keepdims=True)
    log = log - np.log(np.exp(log).sum(1, keepdims=True))
    loss = 0.
    for b, y, x in np.ndindex(labels.shape):
        if labels[b, y, x] != 255:
            loss -= weight[labels[b, y, x]] * log[b, labels[b, y, x], y, x]
    return loss / labels.size


def scale_invariant_log(pred: np.ndarray, target: np.ndarray) -> float:
    """Eigen et al. (2014) with its root: lambda 1/2, the mean over the samples, nothing for one without a person."""
    figures = []
    for p, t in zip(pred, target):
        valid = t > 1e-6
        if not valid.any():
            figures.append(0.)
            continue
        d = np.log(t[valid]) - np.log(np.maximum(p[valid], 1e-6))
        figures.append(math.sqrt((d**2).mean() - 0.5 * d.mean()**2))
    return float(np.mean(figures))


def cosine_and_l1(pred: np.ndarray, target: np.ndarray) -> float:
    """Over the pixels of the batch whose x is above -100; the L1 error is summed over x, y and z."""
    valid = target[:, 0] > -100
    p, t = (v.transpose(0, 2, 3, 1)[valid] for v in (pred, target))
    if not len(p):
        return 0.
    cosine = (p * t).sum(1) / np.maximum(np.linalg.norm(p, axis=1), 1e-6) / np.maximum(np.linalg.norm(t, axis=1), 1e-6)
    return float((1 - cosine).mean() + np.abs(p - t).sum(1).mean())


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('task', ('parts28', 'parts_lip', 'parts_cihp', 'parts_face'))
def test_parts(task, seed):
    torch.manual_seed(seed)
    head = make_head(task)
    weight = np.array(head.loss_decode.class_weight or [1.] * head.num_classes)
    logits = 3 * torch.randn(2, head.num_classes, 6, 4)
    labels = torch.randint(0, head.num_classes, (2, 1, *SIZE), dtype=torch.uint8)
    labels[torch.rand(labels.shape) < 0.3] = 255
    got = {str(dtype): total(head.loss_by_feat(logits, samples(gt_sem_seg=labels.to(dtype)))).item()
           for dtype in (torch.uint8, torch.int64)}
    want = cross_entropy(enlarge(logits.double().numpy(), SIZE), labels[:, 0].numpy(), weight)
    assert set(got.values()) == {got['torch.int64']} and got['torch.int64'] == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize('seed', range(4))
def test_depth(seed):
    torch.manual_seed(seed)
    target = torch.rand(3, 1, *SIZE)
    target[torch.rand(target.shape) < 0.3] = -1
    target[0, 0, 0, 0], target[2] = 0, -1  # the nearest pixel; a crop without a person
    pred = torch.rand(3, 1, 6, 4) * 2 - 0.3
    got = total(make_head('depth').loss_by_feat(pred, samples(gt_depth_map=target))).item()
    want = scale_invariant_log(enlarge(pred.double().numpy(), SIZE), target.double().numpy())
    assert got == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize('seed', range(4))
def test_normals(seed):
    torch.manual_seed(seed)
    target = torch.nn.functional.normalize(torch.randn(3, 3, *SIZE), dim=1)
    outside = torch.rand(3, 1, *SIZE) < 0.3
    outside[2] = seed % 2 == 0
    target[outside.expand_as(target)] = -1000
    pred = torch.randn(3, 3, 6, 4)
    got = total(make_head('normal').loss_by_feat(pred, samples(gt_normal_map=target))).item()
    want = cosine_and_l1(enlarge(pred.double().numpy(), SIZE), target.double().numpy())
    assert got == pytest.approx(want, rel=1e-5)


def hard_targets(task: str, case: str) -> dict:
    """The target's field (2, C, H, W)."""
    if task == 'parts28':
        labels = torch.randint(0, 28, (2, 1, 12, 8), dtype=torch.uint8)
        return dict(gt_sem_seg=labels if case != 'empty' else torch.full_like(labels, 255))
    if task == 'depth':
        depth = torch.rand(2, 1, 12, 8)
        depth[0, 0, :6] = -1
        return dict(gt_depth_map=depth if case != 'empty' else torch.full_like(depth, -1))
    normal = torch.nn.functional.normalize(torch.randn(2, 3, 12, 8), dim=1)
    return dict(gt_normal_map=normal if case != 'empty' else torch.full_like(normal, -1000))


@pytest.mark.parametrize('dtype', PRECISIONS, ids=str)
@pytest.mark.parametrize('case', ('usual', 'empty', 'all below 0', 'all 0', 'huge'))
@pytest.mark.parametrize('task', ('parts28', 'depth', 'normal'))
def test_a_step_in_any_precision_has_finite_gradients(task, case, dtype):
    torch.manual_seed(0)
    head, x = make_head(task).train(), torch.randn(2, 6, 6, 4, requires_grad=True)
    if case in ('all 0', 'all below 0'):
        torch.nn.init.zeros_(head.conv_seg.weight)
        torch.nn.init.constant_(head.conv_seg.bias, 0. if case == 'all 0' else -3.)
    elif case == 'huge':
        torch.nn.init.constant_(head.conv_seg.weight, 1e3)
    with torch.autocast('cpu', dtype, enabled=dtype != torch.float32):
        losses = head.loss_by_feat(head((x, )), samples(**hard_targets(task, case)))
    loss = total(losses)
    loss.backward()
    assert loss.isfinite()
    assert x.grad.isfinite().all() and all(p.grad is None or p.grad.isfinite().all() for p in head.parameters())
    if case == 'empty':
        assert loss == 0 and not x.grad.any()


@pytest.mark.parametrize('dtype', PRECISIONS, ids=str)
@pytest.mark.parametrize('task', ('parts28', 'depth', 'normal'))
def test_a_perfect_prediction_has_finite_gradients(task, dtype):
    torch.manual_seed(0)
    field, target = next(iter(hard_targets(task, 'usual').items()))
    pred = target.to(dtype)
    if task == 'parts28':
        pred = (torch.nn.functional.one_hot(target[:, 0].long(), 28).permute(0, 3, 1, 2) * 1e4).to(dtype)
    else:
        target = pred.float()
    pred.requires_grad_()
    with torch.autocast('cpu', dtype, enabled=dtype != torch.float32):
        loss = total(make_head(task).loss_by_feat(pred.float(), samples(**{field: target})))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-2) and pred.grad.isfinite().all()
