"""The masked auto-encoder: what is hidden, what the encoder sees, how it starts and what it refuses."""
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.models.utils import build_2d_sincos_position_embedding

from sapiens_mm.pretrain.model import random_masking

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def build(arch, **kwargs):
    cfg = Config.fromfile(CONFIGS / '_base_/models/sapiens_mae.py')
    cfg.merge_from_dict(dict(model=dict(
        backbone=dict(arch=arch, img_size=64),
        neck=dict(num_patches=16, embed_dim=arch['embed_dims'], decoder_embed_dim=32, decoder_depth=2, decoder_num_heads=4))))
    cfg.merge_from_dict(dict(model=kwargs))
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'), MODELS.switch_scope_and_registry('mmpretrain') as registry:
        model = registry.build(cfg.model)
    model.init_weights()
    return model


@pytest.mark.parametrize('ratio', [0.05, 0.75, 0.85, 0.95])
def test_the_smallest_noise_stays_visible(ratio):
    noise = torch.rand(3, 64)
    ids_keep, mask, ids_restore = random_masking(noise, ratio)
    num_visible = int(64 * (1 - ratio))
    assert ids_keep.shape == (3, num_visible)
    for row in range(3):
        visible = set(noise[row].argsort()[:num_visible].tolist())
        assert set(ids_keep[row].tolist()) == visible
        assert {i for i in range(64) if mask[row, i] == 0} == visible
        shuffled = noise[row].argsort()
        assert torch.equal(shuffled[ids_restore[row]], torch.arange(64))


def test_the_encoder_is_blind_to_hidden_patches(tiny_arch):
    model = build(tiny_arch).eval()
    images, noise = torch.randn(2, 3, 64, 64), torch.rand(2, 16)
    latent, mask, _ = model.encode_visible(images, noise)
    assert latent.shape == (2, 1 + 4, 48)
    hidden = mask.reshape(2, 1, 4, 4).repeat_interleave(16, 2).repeat_interleave(16, 3).bool()
    changed = torch.where(hidden, torch.randn_like(images), images)
    assert torch.equal(model.encode_visible(changed, noise)[0], latent)
    changed = torch.where(hidden, images, torch.randn_like(images))
    assert not torch.allclose(model.encode_visible(changed, noise)[0], latent, atol=1e-3)


def test_loss_is_the_error_of_hidden_patches_only(tiny_arch):
    model = build(tiny_arch).eval()
    images, noise = torch.randn(2, 3, 64, 64), torch.rand(2, 16)
    pred, mask = model.predict_patches(images, noise)
    patches = images.reshape(2, 3, 4, 16, 4, 16).permute(0, 2, 4, 3, 5, 1).reshape(2, 16, 768)
    target = (patches - patches.mean(-1, keepdim=True)) / (patches.var(-1, keepdim=True) + 1e-6).sqrt()
    expected = ((pred - target)**2).mean(-1)[mask.bool()].mean()
    torch.testing.assert_close(model.loss(images, noise=noise)['loss'], expected)


def numpy_mae(weights, images, noise, ratio, heads):
    """Mask, latent, prediction and loss of the paper's model, written down once more in numpy. ``heads``: encoder's, decoder's."""
    erf = np.vectorize(math.erf)

    def linear(x, name):
        return x @ weights[f'{name}.weight'].T + weights[f'{name}.bias']

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return x * weights[f'{name}.weight'] + weights[f'{name}.bias']

    def block(x, name, heads):
        B, N, C = x.shape
        q, k, v = linear(norm(x, f'{name}.ln1'), f'{name}.attn.qkv').reshape(B, N, 3, heads, C // heads).transpose(2, 0, 3, 1, 4)
        scores = q @ k.swapaxes(-1, -2) / math.sqrt(C // heads)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = scores / scores.sum(-1, keepdims=True) @ v
        x = x + linear(mixed.swapaxes(1, 2).reshape(B, N, C), f'{name}.attn.proj')
        hidden = linear(norm(x, f'{name}.ln2'), f'{name}.ffn.layers.0.0')
        return x + linear(hidden * (1 + erf(hidden / math.sqrt(2))) / 2, f'{name}.ffn.layers.1')

    def tower(x, name, heads):
        for i in range(1 + max(int(n.split('.')[2]) for n in weights if n.startswith(f'{name}.'))):
            x = block(x, f'{name}.{i}', heads)
        return norm(x, name.rpartition('.')[0] + '.ln1')

    B, _, side, _ = images.shape
    grid = side // 16
    patches = images.reshape(B, 3, grid, 16, grid, 16).transpose(0, 2, 4, 1, 3, 5).reshape(B, grid * grid, -1)  # c, y, x
    kernel = weights['backbone.patch_embed.projection.weight']
    tokens = patches @ kernel.reshape(len(kernel), -1).T + weights['backbone.patch_embed.projection.bias']
    tokens += weights['backbone.pos_embed'][:, 1:]
    cls = np.repeat(weights['backbone.cls_token'] + weights['backbone.pos_embed'][:, :1], B, 0)
    visible = int(grid * grid * (1 - ratio))
    order = noise.argsort(1)
    mask, full = np.ones((B, grid * grid)), np.repeat(weights['neck.mask_token'], grid * grid, 1).repeat(B, 0)
    latent = tower(np.concatenate([cls, np.stack([t[o[:visible]] for t, o in zip(tokens, order)])], 1), 'backbone.layers', heads[0])
    embedded = linear(latent, 'neck.decoder_embed')
    for b in range(B):
        mask[b, order[b, :visible]] = 0
        full[b, order[b, :visible]] = embedded[b, 1:]
    decoded = np.concatenate([embedded[:, :1], full], 1) + weights['neck.decoder_pos_embed']
    pred = linear(tower(decoded, 'neck.decoder_blocks', heads[1]), 'neck.decoder_pred')[:, 1:]
    target = images.reshape(B, 3, grid, 16, grid, 16).transpose(0, 2, 4, 3, 5, 1).reshape(B, grid * grid, -1)  # y, x, c
    target = (target - target.mean(-1, keepdims=True)) / np.sqrt(target.var(-1, ddof=1, keepdims=True) + 1e-6)
    return mask, latent, pred, (((pred - target)**2).mean(-1) * mask).sum() / mask.sum()


@pytest.mark.parametrize('seed, ratio', [(1, 0.75), (2, 0.85), (3, 0.95), (4, 0.3)])
def test_an_independent_implementation_agrees(tiny_arch, seed, ratio):
    model = build(tiny_arch, mask_ratio=ratio, backbone=dict(img_size=96), neck=dict(num_patches=36)).double().eval()
    torch.manual_seed(seed)
    for parameter in model.parameters():  # biases and norms start at 0 and 1, where mistakes do not show
        parameter.data += 0.1 * torch.randn_like(parameter)
    images, noise = torch.randn(2, 3, 96, 96).double(), torch.rand(2, 36).double()
    with torch.no_grad():
        latent, mask, _ = model.encode_visible(images, noise)
        ours = mask, latent, model.predict_patches(images, noise)[0], model.loss(images, noise=noise)['loss']
    weights = {name: value.double().numpy() for name, value in model.state_dict().items()}
    theirs = numpy_mae(weights, images.numpy(), noise.numpy(), ratio, (4, 4))
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-9, atol=1e-10)


def test_position_tables_are_fixed_sines_and_the_rest_trains(tiny_arch):
    model = build(tiny_arch)
    for table, width in ((model.backbone.pos_embed, 48), (model.neck.decoder_pos_embed, 32)):
        assert torch.equal(table, build_2d_sincos_position_embedding(4, width, cls_token=True))
        assert not table[:, 0].any()
    model.loss(torch.randn(2, 3, 64, 64))['loss'].backward()
    without = {name for name, p in model.named_parameters() if p.grad is None}
    assert without == {'backbone.pos_embed', 'neck.decoder_pos_embed'}
    limit = math.sqrt(6 / (48 + 3 * 48))  # Xavier-uniform
    weight = model.backbone.layers[0].attn.qkv.weight
    assert 0.9 * limit < weight.abs().max() <= limit
    assert model.neck.decoder_blocks[0].attn.qkv.bias.abs().max() == 0


def test_recomputing_activations_changes_nothing(tiny_arch):
    images, noise = torch.randn(2, 3, 64, 64), torch.rand(2, 16)
    grads = []
    for with_cp in (False, True):
        model = build(tiny_arch, backbone=dict(with_cp=with_cp), neck=dict(with_cp=with_cp)).train()
        model.loss(images, noise=noise)['loss'].backward()
        grads.append([p.grad for p in model.parameters() if p.requires_grad])
    for kept, recomputed in zip(*grads):
        torch.testing.assert_close(kept, recomputed)


@pytest.mark.parametrize('change, message', [
    (dict(mask_ratio=0.96), 'mask_ratio'),
    (dict(mask_ratio=0), 'mask_ratio'),
    (dict(neck=dict(num_patches=25)), 'num_patches'),
    (dict(backbone=dict(img_size=(64, 48))), 'square'),
])
def test_what_does_not_fit_is_refused(tiny_arch, change, message):
    with pytest.raises(ValueError, match=message):
        build(tiny_arch, **change)


def test_another_image_size_and_incomplete_weights_are_refused(tiny_arch):
    model = build(tiny_arch)
    with pytest.raises(ValueError, match='64 x 64'):
        model.loss(torch.randn(1, 3, 32, 32))
    state = model.state_dict()
    del state['neck.mask_token']
    with pytest.raises(ValueError, match='mask_token'):
        model.load_state_dict(state)
