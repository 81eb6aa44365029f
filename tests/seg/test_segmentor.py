import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmseg.structures import SegDataSample


@pytest.fixture(autouse=True)
def _small_stripes(monkeypatch):
    monkeypatch.setattr('sapiens_mm.seg.row_resize._STRIPE', 20000)


def build(kind, arch, num_classes=6, **kwargs):
    cfg = dict(
        type=kind, data_preprocessor=dict(type='SegDataPreProcessor', mean=[120.] * 3, std=[60.] * 3, bgr_to_rgb=True),
        backbone=dict(type='sapiens_mm.SapiensViT', arch=arch, img_size=(64, 48), patch_padding=0),
        decode_head=dict(type='FCNHead', in_channels=48, in_index=0, channels=48, num_convs=0, concat_input=False,
                         num_classes=num_classes, norm_cfg=None, align_corners=False), test_cfg=ConfigDict(mode='whole'))
    cfg.update(kwargs)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg)
    model.init_weights()
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    return model.eval()


def samples(*metas, size=(64, 48)):
    return [SegDataSample(metainfo=dict(dict(img_shape=size, ori_shape=size, pad_shape=size), **meta)) for meta in metas]


METAS = {
    'large': [dict(ori_shape=(701, 503)), dict(ori_shape=(90, 110))],
    'same': [dict(ori_shape=(64, 48))] * 2,
    'small': [dict(ori_shape=(20, 30)), dict(ori_shape=(64, 481))],
    'channels in the shape': [dict(ori_shape=(701, 503, 3)), dict(ori_shape=(333, 48, 3))],
    'padded': [dict(ori_shape=(701, 503), img_padding_size=[3, 2, 0, 5]), dict(ori_shape=(400, 300), padding_size=[0, 0, 7, 1])],
    'mirrored': [dict(ori_shape=(701, 503), flip=True, flip_direction='horizontal'),
                 dict(ori_shape=(401, 300), flip=True, flip_direction='vertical')],
}


@pytest.mark.parametrize('which', METAS)
@pytest.mark.parametrize('slide', [False, True])
def test_labels_are_those_of_mmseg(which, slide, tiny_arch):
    test_cfg = ConfigDict(mode='slide', crop_size=(64, 48), stride=(32, 32)) if slide else ConfigDict(mode='whole')
    ours, stock = (build(kind, tiny_arch, test_cfg=test_cfg) for kind in ('sapiens_mm.SapiensPartsSegmentor', 'EncoderDecoder'))
    stock.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 64, 48)
    stock_metas = [dict(meta, ori_shape=meta['ori_shape'][:2]) for meta in METAS[which]]
    with torch.no_grad():
        got, expected = ours.predict(x, samples(*METAS[which])), stock.predict(x, samples(*stock_metas))
    for a, b in zip(got, expected):
        assert a.pred_sem_seg.data.dtype == torch.uint8
        assert torch.equal(a.pred_sem_seg.data.long(), b.pred_sem_seg.data)
        assert 'seg_logits' not in a
        assert len(b.pred_sem_seg.data.unique()) > 2


def test_without_samples(tiny_arch):
    ours, stock = (build(kind, tiny_arch) for kind in ('sapiens_mm.SapiensPartsSegmentor', 'EncoderDecoder'))
    x = torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        got, expected = ours.predict(x)[0], stock.predict(x)[0]
    assert torch.equal(got.pred_sem_seg.data.long().squeeze(), expected.pred_sem_seg.data.squeeze())


def test_logits_on_request(tiny_arch):
    model = build('sapiens_mm.SapiensPartsSegmentor', tiny_arch, keep_logits=True)
    with torch.no_grad():
        sample = model.predict(torch.randn(1, 3, 64, 48), samples(dict(ori_shape=(90, 110))))[0]
    assert sample.seg_logits.data.shape == (6, 90, 110)
    assert torch.equal(sample.seg_logits.data.argmax(0), sample.pred_sem_seg.data[0])


def test_loss_is_untouched(tiny_arch):
    from mmengine.structures import PixelData
    ours, stock = (build(kind, tiny_arch) for kind in ('sapiens_mm.SapiensPartsSegmentor', 'EncoderDecoder'))
    batch = samples({}, {})
    for sample in batch:
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 6, (1, 64, 48)))
    x = torch.randn(2, 3, 64, 48)
    assert ours.loss(x, batch)['decode.loss_ce'] == stock.loss(x, batch)['decode.loss_ce']


def test_unknown_mirroring_is_refused(tiny_arch):
    model = build('sapiens_mm.SapiensPartsSegmentor', tiny_arch)
    with pytest.raises(ValueError, match='flip_direction'):
        model.predict(torch.randn(1, 3, 64, 48), samples(dict(flip=True, flip_direction='diagonal')))
