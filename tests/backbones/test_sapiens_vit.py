import copy

import pytest
import torch
from torch import nn

from sapiens_mm.backbones.pos_embed import adapt_pos_embed, infer_grid, resize_pos_embed
from sapiens_mm.backbones.sapiens_vit import SIZES, SapiensViT


def tiny(tiny_arch, **kwargs):
    model = SapiensViT(tiny_arch, **dict(dict(img_size=(64, 48), patch_padding=2), **kwargs))
    torch.manual_seed(0)
    for p in model.parameters():
        nn.init.normal_(p, std=0.05)
    return model


@pytest.mark.parametrize('size, millions', [('sapiens_0.3b', 306.2), ('sapiens_0.6b', 634.6), ('sapiens_1b', 1139.2),
                                            ('sapiens_2b', 2131.9)])
def test_sizes_have_the_published_number_of_parameters(size, millions):
    with torch.device('meta'):
        model = SapiensViT(size, patch_padding=2)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)
    assert len(model.layers) == SIZES[size]['num_layers']


@pytest.mark.parametrize('out_type, shape', [('featmap', (2, 48, 4, 3)), ('raw', (2, 12, 48))])
def test_output_shapes(tiny_arch, out_type, shape):
    assert tiny(tiny_arch, out_type=out_type)(torch.randn(2, 3, 64, 48))[0].shape == shape


def test_class_token_leads_raw_tokens_and_is_left_out_of_maps(tiny_arch):
    x = torch.randn(1, 3, 64, 48)
    raw = tiny(tiny_arch, with_cls_token=True, out_type='raw').eval()
    maps = tiny(tiny_arch, with_cls_token=True).eval()
    tokens, featmap = raw(x)[0], maps(x)[0]
    assert tokens.shape == (1, 13, 48)
    torch.testing.assert_close(featmap.flatten(2).transpose(1, 2), tokens[:, 1:])


def test_several_levels(tiny_arch):
    x = torch.randn(1, 3, 64, 48)
    model = tiny(tiny_arch, out_indices=[0, -1]).eval()
    first, last = model(x)
    torch.testing.assert_close(last, tiny(tiny_arch).eval()(x)[0])
    by_hand = model.layers[0](model.embed(x)[0])  # no norm on an inner level
    torch.testing.assert_close(first.flatten(2).transpose(1, 2), by_hand)


def test_patch_padding_moves_the_grid(tiny_arch):
    x = torch.zeros(1, 3, 64, 48)
    x[:, :, 20, 20] = 1
    padded, plain = tiny(tiny_arch, patch_padding=2), tiny(tiny_arch, patch_padding=0)
    conv = padded.patch_embed.projection
    out = padded.patch_embed(x) - conv.bias
    # With 2 pixels of padding, patch (1, 1) covers rows 14 to 29, so that pixel (20, 20) meets weight (6, 6).
    torch.testing.assert_close(out[0, 4], conv.weight[:, :, 6, 6].sum(1))
    torch.testing.assert_close((plain.patch_embed(x) - plain.patch_embed.projection.bias)[0, 4], conv.weight[:, :, 4, 4].sum(1))


@pytest.mark.parametrize('size', [(64, 48), (96, 80), (32, 32), (16, 160)])
def test_any_divisible_input(tiny_arch, size):
    assert tiny(tiny_arch)(torch.randn(1, 3, *size))[0].shape == (1, 48, size[0] // 16, size[1] // 16)


@pytest.mark.parametrize('kwargs, words', [
    (dict(arch='sapiens_3b', patch_padding=0), 'sapiens_0.3b'),
    (dict(arch=dict(embed_dims=8), patch_padding=0), 'exactly the keys'),
    (dict(arch='sapiens_0.3b'), 'patch_padding must be given'),
    (dict(arch='sapiens_0.3b', patch_padding=8), r'\[0, 8\)'),
    (dict(arch='sapiens_0.3b', patch_padding=0, img_size=(1000, 768)), 'not divisible by the patch of 16'),
    (dict(arch='sapiens_0.3b', patch_padding=0, out_type='cls_token'), 'out_type'),
    (dict(arch='sapiens_0.3b', patch_padding=0, out_indices=[24]), 'out_indices'),
    (dict(arch='sapiens_0.3b', patch_padding=0, frozen_stages=25), 'frozen_stages'),
])
def test_mistakes_are_named(kwargs, words):
    with torch.device('meta'), pytest.raises(ValueError, match=words):
        SapiensViT(**kwargs)


def test_indivisible_input_is_named(tiny_arch):
    with pytest.raises(ValueError, match='100 x 48 .* such as 96 x 48'):
        tiny(tiny_arch)(torch.randn(1, 3, 100, 48))


def test_activation_checkpointing_changes_nothing(tiny_arch):
    model = tiny(tiny_arch).train()
    recompute = copy.deepcopy(model)
    recompute.with_cp = True
    x = torch.randn(2, 3, 64, 48)
    for m in (model, recompute):
        m(x)[0].square().mean().backward()
    for a, b in zip(model.parameters(), recompute.parameters()):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize('frozen_stages', [-1, 0, 2, 3])
@pytest.mark.parametrize('with_cp', [False, True])
def test_frozen_stages(tiny_arch, frozen_stages, with_cp):
    model = tiny(tiny_arch, frozen_stages=frozen_stages, with_cp=with_cp, drop_path_rate=0.5).train()
    model(torch.randn(2, 3, 64, 48, requires_grad=True))[0].square().mean().backward()
    for name, param in model.named_parameters():
        depth = model.get_layer_depth(name)[0]
        frozen = depth <= frozen_stages if depth <= 3 else frozen_stages == 3
        assert (param.grad is None) == frozen, name
    assert [block.training for block in model.layers] == [i >= frozen_stages for i in range(3)]
    assert model.eval() is model and model.train() is model


def test_drop_path_only_while_training(tiny_arch):
    model = tiny(tiny_arch, drop_path_rate=0.9)
    x = torch.randn(4, 3, 64, 48)
    model.train()
    assert not torch.equal(model(x)[0], model(x)[0])
    model.eval()
    torch.testing.assert_close(model(x)[0], tiny(tiny_arch).eval()(x)[0])


def test_layer_depth(tiny_arch):
    depth = tiny(tiny_arch, with_cls_token=True).get_layer_depth
    assert depth('backbone.cls_token', 'backbone.') == depth('backbone.pos_embed', 'backbone.') == (0, 5)
    assert depth('backbone.patch_embed.projection.bias', 'backbone.') == (0, 5)
    assert depth('backbone.layers.2.attn.qkv.weight', 'backbone.') == (3, 5)
    assert depth('backbone.ln1.weight', 'backbone.') == depth('head.final_layer.weight', 'backbone.') == (4, 5)


def test_compiles_and_exports(tiny_arch):
    model = tiny(tiny_arch).eval()
    x = torch.randn(2, 3, 64, 48)
    program = torch.export.export(model, (x, ), dynamic_shapes=({0: torch.export.Dim('batch', min=1, max=64)}, ))
    other = torch.randn(5, 3, 64, 48)
    torch.testing.assert_close(program.module()(other)[0], model(other)[0])


def test_matches_mmpretrain(tiny_arch):
    from mmpretrain.models.backbones import VisionTransformer
    stock = VisionTransformer(
        arch=tiny_arch, img_size=(64, 48), patch_cfg=dict(padding=2), out_type='featmap', with_cls_token=False)
    ours = tiny(tiny_arch).eval()
    assert not stock.load_state_dict(ours.state_dict()).missing_keys
    stock.eval()
    x = torch.randn(2, 3, 96, 80)
    torch.testing.assert_close(ours(x)[0], stock(x)[0], rtol=1e-6, atol=1e-6)


class TestPositionTable:

    def test_same_grid_is_untouched(self):
        table = torch.randn(1, 13, 8)
        assert resize_pos_embed(table, (4, 3), (4, 3), 1) is table

    def test_rows_and_columns_are_not_mixed_up(self):
        table = torch.randn(1, 1 + 6 * 4, 8)
        grid = table[:, 1:].view(1, 6, 4, 8)
        mirrored = torch.cat([table[:, :1], grid.flip(2).reshape(1, 24, 8)], 1)
        out, out_mirrored = (resize_pos_embed(t, (6, 4), (9, 7), 1) for t in (table, mirrored))
        torch.testing.assert_close(out[:, 0], table[:, 0])
        torch.testing.assert_close(out[:, 1:].view(9, 7, 8).flip(1), out_mirrored[:, 1:].view(9, 7, 8))
        by_rows = torch.arange(6.).view(1, 6, 1).expand(1, 6, 4).reshape(1, 24, 1)
        assert (resize_pos_embed(by_rows, (6, 4), (9, 7), 0).view(9, 7).std(1) < 1e-5).all()

    @pytest.mark.parametrize('length, grid', [(4097, ((64, 64), 1)), (4096, ((64, 64), 0)), (3072, ((64, 48), 0)),
                                              (3073, ((64, 48), 1)), (768, ((32, 24), 0)), (17, ((4, 4), 1))])
    def test_grid_is_told_from_the_length(self, length, grid):
        assert infer_grid(length, ((4, 3), )) == grid

    def test_other_aspects_and_no_aspect(self):
        assert infer_grid(5 * 7 * 4, ((5, 7), )) == ((10, 14), 0)
        with pytest.raises(ValueError, match='pos_embed_grid'):
            infer_grid(3071, ((4, 3), ))

    def test_pretraining_table_loads_into_a_fine_tuning_backbone(self, tiny_arch):
        model = tiny(tiny_arch)
        table = torch.randn(1, 65, 48)
        model.load_state_dict({**model.state_dict(), 'pos_embed': table})
        torch.testing.assert_close(model.pos_embed.data, resize_pos_embed(table[:, 1:], (8, 8), (4, 3), 0))

    def test_fine_tuned_table_loads_into_another_size(self, tiny_arch):
        model = tiny(tiny_arch, img_size=(96, 80))
        table = torch.randn(1, 12, 48)
        model.load_state_dict({**model.state_dict(), 'pos_embed': table})
        torch.testing.assert_close(model.pos_embed.data, resize_pos_embed(table, (4, 3), (6, 5), 0))

    def test_grid_that_cannot_be_told_is_an_argument(self, tiny_arch):
        table = torch.randn(1, 2 * 7, 48)
        model = tiny(tiny_arch, pos_embed_grid=(2, 7))
        model.load_state_dict({**model.state_dict(), 'pos_embed': table})
        torch.testing.assert_close(model.pos_embed.data, resize_pos_embed(table, (2, 7), (4, 3), 0))
        with pytest.raises(ValueError, match='3 x 7'):
            adapt_pos_embed(table, model.pos_embed, (4, 3), 0, src_grid=(3, 7))

    def test_class_token_row_stays_the_models_own_where_the_file_has_none(self, tiny_arch):
        model = tiny(tiny_arch, with_cls_token=True)
        own = model.pos_embed[:, :1].clone()
        table = torch.randn(1, 12, 48)
        model.load_state_dict({**model.state_dict(), 'pos_embed': table})
        torch.testing.assert_close(model.pos_embed.data, torch.cat([own.data, table], 1))

    def test_loading_leaves_the_file_untouched(self, tiny_arch):
        model, table = tiny(tiny_arch), torch.randn(1, 65, 48)
        state = {**model.state_dict(), 'pos_embed': table}
        model.load_state_dict(state)
        assert state['pos_embed'] is table
