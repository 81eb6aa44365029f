import pickle

import pytest
import torch
from safetensors.torch import save_file

from sapiens_mm.backbones.sapiens_vit import SapiensViT
from sapiens_mm.engine.checkpoint import (
    describe,
    fit_state_dict,
    latest_checkpoint,
    load_backbone,
    persistent_shapes,
    read_state_dict,
)
from sapiens_mm.registry import MODELS


def backbone(tiny_arch, **kwargs) -> SapiensViT:
    return SapiensViT(tiny_arch, **dict(dict(img_size=(64, 48), patch_padding=2), **kwargs))


def pose_model(tiny_arch, keypoints=17, arch=None):
    from mmengine.registry import DefaultScope
    from mmpose.registry import MODELS as POSE_MODELS
    with DefaultScope.overwrite_default_scope('mmpose'):
        model = POSE_MODELS.build(dict(
            type='TopdownPoseEstimator',
            backbone=dict(type='sapiens_mm.SapiensViT', arch=arch or tiny_arch, img_size=(64, 48), patch_padding=2),
            head=dict(type='sapiens_mm.SapiensPoseHead', in_channels=48, out_channels=keypoints, deconv_out_channels=(8, 8),
                      deconv_kernel_sizes=(4, 4), conv_out_channels=(8, ), conv_kernel_sizes=(1, ))))
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.05)
    return model


def raw_pretraining(tiny_arch) -> dict:
    """The tensors of a pre-training checkpoint: class token, square grid, decoder."""
    encoder = backbone(tiny_arch, img_size=64, with_cls_token=True, patch_padding=0)
    state = {f'backbone.{k}': torch.randn_like(v) for k, v in encoder.state_dict().items()}
    return {**state, 'neck.mask_token': torch.randn(1, 1, 8), 'neck.decoder_pred.weight': torch.randn(768, 8)}


@pytest.mark.parametrize('size, model, words', [
    (1024, dict(keypoints=308), 'pose with 308 keypoints'), (1024, dict(), 'backbone only')])
def test_describe_names_the_task(size, model, words):
    shapes = {'backbone.patch_embed.projection.weight': (size, 3, 16, 16)}
    shapes.update({f'backbone.layers.{i}.attn.qkv.weight': (3 * size, size) for i in range(24)})
    if model:
        shapes['head.final_layer.weight'] = (308, 768, 1, 1)
    assert describe(shapes) == f'sapiens_0.3b, {words}'


class TestLoadBackbone:

    def check(self, model, expected):
        own = model.state_dict()
        for name, value in expected.items():
            torch.testing.assert_close(own[name], value)

    def test_bare(self, tiny_arch, tmp_path):
        state = {k: torch.randn_like(v) for k, v in backbone(tiny_arch).state_dict().items()}
        torch.save(state, tmp_path / 'bare.pth')
        model = backbone(tiny_arch)
        load_backbone(model, str(tmp_path / 'bare.pth'))
        self.check(model, state)

    def test_safetensors(self, tiny_arch, tmp_path):
        state = {k: torch.randn_like(v) for k, v in backbone(tiny_arch).state_dict().items()}
        save_file(state, str(tmp_path / 'bare.safetensors'))
        model = backbone(tiny_arch)
        load_backbone(model, str(tmp_path / 'bare.safetensors'))
        self.check(model, state)

    def test_raw_pretraining(self, tiny_arch, tmp_path):
        state = raw_pretraining(tiny_arch)
        torch.save(dict(state_dict=state, meta=dict(epoch=3)), tmp_path / 'raw.pth')
        model = backbone(tiny_arch)
        load_backbone(model, str(tmp_path / 'raw.pth'))
        self.check(model, {k[9:]: v for k, v in state.items() if k.startswith('backbone.layers')})

    def test_fine_tuned_model_through_init_cfg(self, tiny_arch, tmp_path):
        state = pose_model(tiny_arch).state_dict()
        torch.save(dict(state_dict=state), tmp_path / 'pose.pth')
        model = MODELS.build(dict(type='SapiensViT', arch=tiny_arch, img_size=(64, 48), patch_padding=2,
                                  init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'pose.pth'))))
        model.init_weights()
        self.check(model, {k[9:]: v for k, v in state.items() if k.startswith('backbone.')})

    def test_init_cfg_of_a_whole_model_reaches_the_backbone(self, tiny_arch, tmp_path):
        state = raw_pretraining(tiny_arch)
        torch.save(state, tmp_path / 'raw.pth')
        model = pose_model(tiny_arch)
        model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'raw.pth'))
        model._is_init = False
        model.init_weights()
        self.check(model.backbone, {'ln1.weight': state['backbone.ln1.weight']})

    @pytest.mark.parametrize('spoil, words', [
        (lambda s: s.pop('backbone.layers.1.attn.qkv.weight'), '1 missing: layers.1.attn.qkv.weight'),
        (lambda s: s.update({'backbone.layers.7.ln1.weight': torch.ones(48)}), '1 unexpected: layers.7.ln1.weight'),
        (lambda s: s.update({'backbone.ln1.weight': torch.ones(64)}), r'ln1.weight \(file \(64,\), model \(48,\)\)'),
    ])
    def test_what_does_not_fit_is_named(self, tiny_arch, tmp_path, spoil, words):
        state = raw_pretraining(tiny_arch)
        spoil(state)
        torch.save(state, tmp_path / 'raw.pth')
        with pytest.raises(ValueError, match=words):
            load_backbone(backbone(tiny_arch), str(tmp_path / 'raw.pth'))

    def test_no_backbone_at_all(self, tiny_arch, tmp_path):
        torch.save({'fc.weight': torch.ones(2, 2)}, tmp_path / 'other.pth')
        with pytest.raises(ValueError, match='no backbone; it holds fc.weight'):
            load_backbone(backbone(tiny_arch), str(tmp_path / 'other.pth'))


class TestReadStateDict:

    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='no checkpoint at'):
            read_state_dict(str(tmp_path / 'none.pth'))

    @pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
    @pytest.mark.parametrize('keep', [0, 100, 0.9])
    def test_cut_short(self, tmp_path, suffix, keep):
        path = tmp_path / f'whole.{suffix}'
        (save_file if suffix == 'safetensors' else torch.save)({'ln1.weight': torch.randn(4000)}, str(path))
        data = path.read_bytes()
        path.write_bytes(data[:keep if isinstance(keep, int) else int(keep * len(data))])
        with pytest.raises(ValueError, match='cut short or damaged' if keep else 'is empty'):
            read_state_dict(str(path))

    def test_code_is_not_run(self, tmp_path):
        marker = tmp_path / 'ran'

        class Evil:

            def __reduce__(self):
                return open, (str(marker), 'w')

        path = tmp_path / 'evil.pth'
        torch.save(dict(state_dict={'w': torch.ones(1)}, meta=Evil()), path)
        with pytest.raises(ValueError, match='could run code'):
            read_state_dict(str(path))
        path.write_bytes(pickle.dumps(Evil()))
        with pytest.raises(ValueError, match='could run code'):
            read_state_dict(str(path))
        assert not marker.exists()

    @pytest.mark.parametrize('content', [[1, 2], {}, dict(meta={}), dict(state_dict='x')])
    def test_no_weights(self, tmp_path, content):
        torch.save(content, tmp_path / 'x.pth')
        with pytest.raises(ValueError, match='holds no weights'):
            read_state_dict(str(tmp_path / 'x.pth'))


class TestStrictness:

    def test_mmengine_loads_silently_what_fits_but_not_into_ours(self, tiny_arch):
        from mmengine.runner.checkpoint import load_state_dict
        from mmpose.models.heads import HeatmapHead
        model = pose_model(tiny_arch)
        stock = HeatmapHead(in_channels=48, out_channels=17, deconv_out_channels=(8, 8), deconv_kernel_sizes=(4, 4),
                            conv_out_channels=(8, ), conv_kernel_sizes=(1, ),
                            loss=dict(type='mmpose.KeypointMSELoss'))
        load_state_dict(stock, model.head.state_dict(), strict=False)  # BatchNorm left at its initial state, no error
        with pytest.raises(ValueError, match='running_mean'):
            load_state_dict(model.head, stock.state_dict(), strict=False)

    @pytest.mark.parametrize('keypoints, arch, words', [
        (133, None, 'pose with 133 keypoints; the config builds a backbone 48 wide with 3 blocks, pose with 17'),
        (17, dict(embed_dims=48, num_layers=4, num_heads=4, feedforward_channels=96), '48 wide with 4 blocks, pose with 17'),
    ])
    def test_another_model_is_described(self, tiny_arch, keypoints, arch, words):
        state = pose_model(tiny_arch, keypoints, arch).state_dict()
        with pytest.raises(ValueError, match=words):
            fit_state_dict(pose_model(tiny_arch), dict(state), 'f.pth')

    def test_another_task_is_described(self, tiny_arch):
        state = {k: v for k, v in pose_model(tiny_arch).state_dict().items() if k.startswith('backbone.')}
        state['decode_head.conv_seg.weight'] = torch.ones(28, 8, 1, 1)
        with pytest.raises(ValueError, match='segmentation of 28 classes; the config builds .* pose with 17 keypoints'):
            fit_state_dict(pose_model(tiny_arch), state, 'f.pth')

    @pytest.mark.parametrize('layers, hint', [(3, True), (4, False)])
    def test_a_backbone_that_fits_is_offered(self, tiny_arch, layers, hint):
        with pytest.raises(ValueError) as error:
            fit_state_dict(pose_model(tiny_arch), raw_pretraining(dict(tiny_arch, num_layers=layers)), 'raw.pth')
        assert ("init_cfg=dict(type='Pretrained', checkpoint='raw.pth')" in str(error.value)) is hint

    def test_expected_differences(self, tiny_arch):
        model = pose_model(tiny_arch)
        state = dict(pose_model(tiny_arch, 133).state_dict(), extra=torch.ones(1))
        own = model.head.final_layer.weight.clone()
        fit_state_dict(model, state, 'f.pth', ['head.final_layer.*'], ['extra'])
        model.load_state_dict(state)
        torch.testing.assert_close(model.head.final_layer.weight, own)

    def test_a_pattern_without_effect_is_an_error(self, tiny_arch):
        model = pose_model(tiny_arch)
        with pytest.raises(ValueError, match='neither the model nor f.pth'):
            fit_state_dict(model, dict(model.state_dict()), 'f.pth', ['head.finel_layer.*'])

    def test_statistics_of_the_preprocessor_and_wrappers_do_not_count(self, tiny_arch):
        model = pose_model(tiny_arch)
        state = {f'module.{k}': v for k, v in model.state_dict().items()}
        state['data_preprocessor.mean'] = torch.zeros(3, 1, 1)
        fit_state_dict(model, state, 'f.pth')
        assert set(state) == set(persistent_shapes(model))

    def test_another_position_table_is_left_to_the_backbone(self, tiny_arch):
        model = pose_model(tiny_arch)
        state = dict(model.state_dict())
        state['backbone.pos_embed'] = torch.randn(1, 17, 48)
        fit_state_dict(model, state, 'f.pth')
        model.load_state_dict(state)


def test_latest_checkpoint(tmp_path):
    assert latest_checkpoint(str(tmp_path)) is None
    for n in (9, 10):
        (tmp_path / f'epoch_{n}.pth').write_bytes(b'')
    assert latest_checkpoint(str(tmp_path)).endswith('epoch_10.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_9.pth'))
    assert latest_checkpoint(str(tmp_path)).endswith('epoch_9.pth')
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_9.pth')  # the directory has moved
    assert latest_checkpoint(str(tmp_path)).endswith('epoch_9.pth')
    (tmp_path / 'last_checkpoint').write_text('')  # a kill in the wrong moment
    assert latest_checkpoint(str(tmp_path)).endswith('epoch_10.pth')
