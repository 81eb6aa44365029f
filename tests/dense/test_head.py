import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from sapiens_mm.depth.head import SapiensDepthHead
from sapiens_mm.normal.head import SapiensNormalHead
from sapiens_mm.seg.head import SapiensPartsHead

SMALL = dict(deconv_out_channels=(8, 8), deconv_kernel_sizes=(4, 4), conv_out_channels=(8, ), conv_kernel_sizes=(1, ))


class Distance(nn.Module):
    """A loss that says which numbers it was given."""

    def __init__(self, loss_name='loss_distance'):
        super().__init__()
        self.loss_name = loss_name

    def forward(self, prediction, target):
        assert prediction.shape == target.shape
        return (prediction - target).abs().mean()


@pytest.fixture(autouse=True)
def _distance():
    from mmseg.registry import MODELS
    MODELS.register_module(name='Distance', module=Distance)
    yield
    MODELS._module_dict.pop('Distance')


def normal_head(**kwargs):
    return SapiensNormalHead(12, loss_decode=dict(type='Distance'), **{**SMALL, **kwargs})


class TestDenseHead:

    def test_doubles_with_every_deconvolution(self):
        head = SapiensPartsHead(12, 5, **SMALL).eval()
        assert head((torch.randn(2, 12, 3, 4), )).shape == (2, 5, 12, 16)

    def test_float32_under_autocast(self):
        head = SapiensPartsHead(12, 5, **SMALL).eval()
        with torch.autocast('cpu', torch.bfloat16):
            assert head((torch.randn(1, 12, 3, 4), )).dtype == torch.float32

    def test_drops_channels_in_training_only(self):
        torch.manual_seed(0)
        head, x = SapiensPartsHead(12, 5, dropout_ratio=0.5, **SMALL), (torch.randn(1, 12, 3, 4), )
        assert isinstance(head.dropout, nn.Dropout2d)
        assert not torch.equal(head.train()(x), head(x))
        assert torch.equal(head.eval()(x), head(x))

    def test_released_layout_is_the_default(self):
        with torch.device('meta'):
            head = SapiensPartsHead(1024, 28)
        assert {n: tuple(p.shape) for n, p in head.named_parameters()}['deconv_layers.6.weight'] == (768, 768, 4, 4)
        assert head.dropout_ratio == 0.1

    def test_refuses_weights_of_another_head(self):
        head = SapiensPartsHead(12, 5, **SMALL)
        with pytest.raises(ValueError, match='of another shape: conv_seg.weight'):
            head.load_state_dict(SapiensPartsHead(12, 6, **SMALL).state_dict())
        with pytest.raises(ValueError, match='missing'):
            head.load_state_dict({})

    def test_layers_and_kernels_must_match(self):
        with pytest.raises(ValueError, match='deconv_out_channels has 2 entries and deconv_kernel_sizes 1'):
            SapiensPartsHead(12, 5, **{**SMALL, 'deconv_kernel_sizes': (4, )})


class TestMapHead:

    def test_losses_of_one_name_add_up_at_the_targets_size(self):
        head = SapiensDepthHead(12, loss_decode=[dict(type='Distance'), dict(type='Distance'),
                                                 dict(type='Distance', loss_name='loss_other')], **SMALL)
        sample = SegDataSample()
        sample.set_data(dict(gt_depth_map=PixelData(data=torch.full((1, 24, 30), 3.))))
        losses = head.loss_by_feat(torch.zeros(1, 1, 12, 16), [sample])
        assert losses['loss_distance'] == pytest.approx(6) and losses['loss_other'] == pytest.approx(3)

    def test_has_no_loss_of_its_own(self):
        with pytest.raises(TypeError, match='loss_decode'):
            SapiensDepthHead(12, **SMALL)

    def test_unmirroring_normals_turns_x(self):
        x = torch.randn(3, 4, 5)
        back = normal_head().unmirror(x)
        assert torch.equal(back[0], -x[0].flip(-1)) and torch.equal(back[1:], x[1:].flip(-1))

    def test_normals_are_of_unit_length(self):
        raw = torch.randn(3, 6, 7) * 5
        raw[:, 0, 0] = 0
        fields = normal_head().to_fields(raw)
        assert set(fields) == {'pred_normal_map', 'pred_normal_raw'} and torch.equal(fields['pred_normal_raw'], raw)
        length = fields['pred_normal_map'].norm(dim=0)
        assert length[0, 0] == 0 and torch.allclose(length.flatten()[1:], torch.ones(41), atol=1e-4)
