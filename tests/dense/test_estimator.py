import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.structures import SegDataSample

from tests.dense.support import build

HEADS = dict(depth='sapiens_mm.SapiensDepthHead', normal='sapiens_mm.SapiensNormalHead')


def make(kind, tiny_arch, **test_cfg):
    torch.manual_seed(0)
    model = build(dict(
        type='sapiens_mm.DenseEstimator',
        backbone=dict(type='sapiens_mm.SapiensViT', arch=tiny_arch, img_size=(64, 48), patch_padding=0),
        decode_head=dict(type=HEADS[kind], in_channels=48, deconv_out_channels=(8, 8), deconv_kernel_sizes=(4, 4),
                         conv_out_channels=(8, ), conv_kernel_sizes=(1, ), loss_decode=dict(type='CrossEntropyLoss')),
        data_preprocessor=dict(type='SegDataPreProcessor', mean=[0.] * 3, std=[1.] * 3, bgr_to_rgb=True),
        test_cfg=ConfigDict(mode='whole', **test_cfg)), 'MODELS')
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


@pytest.fixture(params=['depth', 'normal'])
def kind(request):
    return request.param


def sample(**meta):
    return SegDataSample(metainfo=dict(dict(img_shape=(64, 48), ori_shape=(90, 110)), **meta))


def test_fields_are_named_and_of_the_original_size(kind, tiny_arch):
    out = make(kind, tiny_arch).test_step(dict(inputs=[torch.zeros(3, 64, 48)] * 2,
                                               data_samples=[sample(), sample(ori_shape=(30, 20))]))
    assert [tuple(o.get(f'pred_{kind}_map').shape) for o in out] == [(90, 110), (30, 20)]
    assert 'pred_sem_seg' not in out[0] and ('pred_depth_map' in out[0]) == (kind == 'depth')


def test_without_samples_the_network_size_stays(kind, tiny_arch):
    out = make(kind, tiny_arch).predict(torch.randn(1, 3, 64, 48))
    assert out[0].get(f'pred_{kind}_map').shape == (64, 48)


def test_two_bilinear_steps(kind, tiny_arch):
    model, x = make(kind, tiny_arch), torch.randn(1, 3, 64, 48)
    raw = model.decode_head(model.backbone(x))
    assert raw.shape[2:] == (16, 12)
    up = dict(mode='bilinear', align_corners=False)
    want = torch.nn.functional.interpolate(torch.nn.functional.interpolate(raw, (64, 48), **up), (90, 110), **up)[0]
    got = model.predict(x, [sample()])[0].get('pred_normal_raw' if kind == 'normal' else 'pred_depth_map').data
    assert torch.allclose(got, want, atol=1e-6)


def test_padding_is_cut_off(kind, tiny_arch):
    model, x = make(kind, tiny_arch), torch.randn(1, 3, 64, 48)
    plain = model.predict(x, [sample(ori_shape=(64, 48))])[0].get(f'pred_{kind}_map').data
    cut = model.predict(x, [sample(ori_shape=(54, 40), img_padding_size=(0, 8, 4, 6))])[0].get(f'pred_{kind}_map').data
    assert torch.allclose(cut, plain[:, 4:58, :40], atol=1e-5)


def test_mirrored_input_is_turned_back(kind, tiny_arch):
    model, x = make(kind, tiny_arch), torch.randn(1, 3, 64, 48)
    plain = model.predict(x, [sample(ori_shape=(64, 48))])[0].get(f'pred_{kind}_map').data
    back = model.predict(x, [sample(ori_shape=(64, 48), flip=True, flip_direction='horizontal')])[0].get(f'pred_{kind}_map').data
    sign = torch.tensor([-1., 1, 1]).view(3, 1, 1) if kind == 'normal' else 1
    assert torch.allclose(back, plain.flip(-1) * sign, atol=1e-6)
    with pytest.raises(ValueError, match='horizontal only, got vertical'):
        model.predict(x, [sample(flip=True, flip_direction='vertical')])


def test_flip_test_does_not_care_about_mirrors(kind, tiny_arch):
    model, x = make(kind, tiny_arch, flip_test=True), torch.randn(1, 3, 64, 48)
    name = 'pred_normal_raw' if kind == 'normal' else 'pred_depth_map'
    with torch.no_grad():
        one, other = (model.predict(i, [sample(ori_shape=(64, 48))])[0].get(name).data for i in (x, x.flip(-1)))
    assert torch.allclose(model.decode_head.unmirror(other), one, atol=1e-5)
    assert not np.allclose(one, make(kind, tiny_arch).predict(x)[0].get(name).data.detach(), atol=1e-3)
