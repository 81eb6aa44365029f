import pytest
import torch
from mmpose.models.losses import KeypointOHKMMSELoss as Stock

from sapiens_mm.pose.losses import KeypointOHKMMSELoss


@pytest.mark.parametrize('use_target_weight', [True, False])
@pytest.mark.parametrize('topk', [1, 5, 12])
def test_values_and_gradients_are_mmposes(use_target_weight, topk):
    torch.manual_seed(0)
    target, weight = torch.rand(3, 12, 8, 6), (torch.rand(3, 12) > 0.3).float()
    results = []
    for cls in (Stock, KeypointOHKMMSELoss):
        output = torch.randn(3, 12, 8, 6, generator=torch.Generator().manual_seed(1)).requires_grad_()
        loss = cls(use_target_weight=use_target_weight, topk=topk, loss_weight=2.)(output, target, weight)
        loss.backward()
        results.append((loss.detach(), output.grad))
    torch.testing.assert_close(results[1], results[0])


def test_more_hard_points_than_points_is_an_error():
    with pytest.raises(ValueError, match=r'topk \(8\)'):
        KeypointOHKMMSELoss()(*[torch.zeros(1, 4, 2, 2)] * 2, torch.ones(1, 4))
