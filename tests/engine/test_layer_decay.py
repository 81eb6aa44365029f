import pytest
import torch
from torch import nn

from sapiens_mm.backbones.sapiens_vit import SapiensViT
from sapiens_mm.engine.layer_decay import LayerDecayOptimWrapperConstructor


class Model(nn.Module):

    def __init__(self, arch, frozen_stages=-1, with_cls_token=False):
        super().__init__()
        self.backbone = SapiensViT(arch, img_size=(64, 48), patch_padding=0, frozen_stages=frozen_stages,
                                   with_cls_token=with_cls_token)
        self.head = nn.Sequential(nn.Conv2d(48, 8, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1))


def groups(model, rate=0.5, lr=1., weight_decay=0.1, **paramwise):
    cfg = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=lr, weight_decay=weight_decay))
    wrapper = LayerDecayOptimWrapperConstructor(cfg, dict(layer_decay_rate=rate, **paramwise))(model)
    return {n: (g['lr'], g['weight_decay']) for g in wrapper.param_groups for n in g.get('param_names', ())}


def test_rate_falls_with_distance_from_the_output(tiny_arch):
    table = groups(Model(tiny_arch))
    assert table['head.0.weight'] == (1., 0.1)
    assert table['backbone.ln1.weight'] == (1., 0.)
    assert table['backbone.layers.2.attn.qkv.weight'] == (0.5, 0.1)
    assert table['backbone.layers.0.attn.qkv.weight'] == (0.125, 0.1)
    assert table['backbone.patch_embed.projection.weight'] == (0.0625, 0.1)
    assert table['backbone.pos_embed'] == (0.0625, 0.)


def test_every_parameter_is_in_exactly_one_group(tiny_arch):
    model = Model(tiny_arch, with_cls_token=True)
    table = groups(model)
    assert set(table) == {n for n, _ in model.named_parameters()}
    assert table['backbone.cls_token'][1] == table['head.1.weight'][1] == table['head.1.bias'][1] == 0.


def test_frozen_parameters_are_left_out(tiny_arch):
    table = groups(Model(tiny_arch, frozen_stages=1))
    assert not any(n.startswith(('backbone.layers.0.', 'backbone.pos_embed')) for n in table)
    assert any(n.startswith('backbone.layers.1.') for n in table)


def test_wrapped_names_count_as_the_plain_ones(tiny_arch):
    """Sharding and activation checkpointing put their own parts into names."""
    model = Model(tiny_arch)
    plain = groups(model)

    class Wrapped(nn.Module):

        def __init__(self, module):
            super().__init__()
            self._fsdp_wrapped_module = module

    for i, block in enumerate(model.backbone.layers):
        model.backbone.layers[i] = Wrapped(block)
    assert groups(model) == plain


def test_flattened_shards_keep_their_weight_decay(tiny_arch):
    model = Model(tiny_arch)
    plain = groups(model)
    for module in model.modules():
        for name, param in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(param.detach().flatten()))
    assert groups(model) == plain


def test_custom_keys_multiply(tiny_arch):
    table = groups(Model(tiny_arch), custom_keys={'head': dict(lr_mult=10.), 'head.2': dict(lr_mult=2., decay_mult=3.)})
    assert table['head.0.weight'] == (10., 0.1)
    assert table['head.2.weight'] == pytest.approx((2., 0.3))
    assert table['head.2.bias'] == (2., 0.)


@pytest.mark.parametrize('paramwise, words', [
    (dict(num_layers=24), 'num_layers has no effect'),
    (dict(decay_rate=0.9), 'decay_rate would have no effect'),
    (dict(custom_keys=dict(bias=dict(decay_multi=0.))), 'decay_multi'),
    (dict(custom_keys=dict(relative_position_bias_table=dict(decay_mult=0.))), 'match no parameter'),
    (dict(rate=0.), r'\(0, 1\]'),
    (dict(rate=None), r'\(0, 1\]'),
])
def test_a_key_without_effect_is_an_error(tiny_arch, paramwise, words):
    with pytest.raises(ValueError, match=words):
        groups(Model(tiny_arch), **paramwise)


def test_a_model_without_depths_is_an_error():
    with pytest.raises(ValueError, match='get_layer_depth'):
        groups(nn.Linear(2, 2))


def test_groups_survive_the_optimizers_state(tiny_arch):
    model = Model(tiny_arch)
    cfg = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1., weight_decay=0.1))
    wrapper = LayerDecayOptimWrapperConstructor(cfg, dict(layer_decay_rate=0.5))(model)
    other = LayerDecayOptimWrapperConstructor(cfg, dict(layer_decay_rate=0.5))(model)
    wrapper.update_params(sum(p.square().sum() for p in model.parameters()))
    other.load_state_dict(wrapper.state_dict())
    first = wrapper.optimizer.param_groups[0]['params'][0]
    torch.testing.assert_close(other.optimizer.state[first]['exp_avg'], wrapper.optimizer.state[first]['exp_avg'])
