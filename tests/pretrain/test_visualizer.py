"""Reconstruction pictures, in training and from a checkpoint; and a pre-training checkpoint's way into fine-tuning."""
import copy
import sys
from types import SimpleNamespace

import mmcv
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner import Runner

from sapiens_mm.pretrain.hooks import ReconstructionHook
from sapiens_mm.pretrain.visualizer import draw_reconstructions, reconstruct
from tests.pretrain.support import picture
from tests.pretrain.test_model import build
from tests.pretrain.test_resume import Record, Stop, config
from tests.support import load_tool


class _Oracle(torch.nn.Module):
    """A decoder that knows the answer."""

    def __init__(self, target):
        super().__init__()
        self.target = target

    def forward(self, latent, ids_restore):
        return self.target


@pytest.mark.parametrize('norm_pix', [True, False])
def test_a_perfect_prediction_gives_the_picture_back(tiny_arch, norm_pix):
    model = build(tiny_arch, head=dict(norm_pix=norm_pix)).train()
    inputs = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    images = model.data_preprocessor(dict(inputs=inputs, data_samples=None))['inputs']
    model.neck = _Oracle(model.head.construct_target(images))
    state = torch.get_rng_state()
    pictures, mask = reconstruct(model, inputs, 0.75)
    torch.testing.assert_close(pictures, inputs.flip(1).float(), atol=0.01, rtol=0)
    assert mask.float().mean() == 0.75
    assert model.training and torch.equal(torch.get_rng_state(), state)


def test_a_row_shows_input_hidden_and_prediction_of_each_ratio(tiny_arch):
    model = build(tiny_arch)
    inputs = torch.randint(150, 256, (2, 3, 64, 64), dtype=torch.uint8)
    panel = draw_reconstructions(model, inputs, (0.5, 0.75))
    assert panel.shape == (128, 5 * 64, 3) and panel.dtype == np.uint8
    original = inputs[0].flip(0).permute(1, 2, 0).numpy()
    assert np.array_equal(panel[:64, :64], original)
    for column, ratio in ((1, 0.5), (3, 0.75)):
        masked = panel[:64, 64 * column:64 * (column + 1)]
        hidden = (masked == 100).all(-1)
        assert hidden.mean() == ratio
        assert np.array_equal(masked[~hidden], original[~hidden])


@pytest.fixture
def trained(tmp_path):
    """A short training with pictures; its directory."""
    (tmp_path / 'images').mkdir()
    for i in range(12):
        (tmp_path / 'images' / f'{i:04d}.jpg').write_bytes(picture(i))
    cfg = config(tmp_path / 'work', tmp_path / 'images', False, 4)
    cfg.custom_hooks = [*cfg.custom_hooks[:-1], dict(type='sapiens_mm.ReconstructionHook', interval=2, max_samples=3)]
    runner = Runner.from_cfg(cfg)
    runner.register_hook(Record(stop_at=4), priority='LOWEST')
    with pytest.raises(Stop):
        runner.train()
    return tmp_path


def test_a_sharded_model_is_not_drawn(monkeypatch):
    """One process would wait for the others."""
    said = []
    logger = SimpleNamespace(warning=said.append)
    runner = SimpleNamespace(model=torch.nn.Identity(), logger=logger, iter=0, visualizer=None)
    monkeypatch.setattr('sapiens_mm.pretrain.hooks.is_model_wrapper', lambda model: True)
    hook = ReconstructionHook(interval=1)
    hook.before_train(runner)
    hook.after_train_iter(runner, 0, dict(inputs=torch.zeros(1, 3, 32, 32)))
    assert len(said) == 1 and 'reconstruct.py' in said[0]


def test_training_draws_and_a_tool_draws_from_its_checkpoint(trained, monkeypatch, capsys):
    files = sorted((trained / 'work').rglob('vis_image/*.png'))
    assert [f.stem for f in files] == ['reconstruction_0', 'reconstruction_2']
    assert mmcv.imread(str(files[0])).shape == (3 * 32, 7 * 32, 3)
    tool = load_tool('visualizations/reconstruct.py')
    saved_config = next((trained / 'work').glob('*.py'))
    monkeypatch.setattr(sys, 'argv', ['reconstruct.py', str(saved_config), str(trained / 'work/iter_4.pth'),
                                      str(trained / 'images'), '--out-dir', str(trained / 'out'), '--mask-ratios', '0.75', '0.95'])
    tool.main()
    assert len(list((trained / 'out').glob('*.png'))) == 12
    assert mmcv.imread(str(trained / 'out/0003.png')).shape == (32, 5 * 32, 3)
    assert '12 pictures' in capsys.readouterr().out


def test_fine_tuning_takes_the_raw_checkpoint_and_the_bare_backbone(trained):
    from sapiens_mm.engine.convert import convert
    raw = str(trained / 'work/iter_4.pth')
    weights = torch.load(raw, weights_only=True)['state_dict']
    convert(raw, trained / 'bare.pth', what='backbone')
    bare = torch.load(trained / 'bare.pth', weights_only=True)
    assert set(bare) == {n[len('backbone.'):] for n in weights if n.startswith('backbone.')}
    backbones = []
    for path in (raw, str(trained / 'bare.pth')):
        backbone = MODELS.build(dict(
            type='sapiens_mm.SapiensViT', img_size=(64, 48), patch_padding=2,
            arch=dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16),
            init_cfg=dict(type='Pretrained', checkpoint=path)))
        backbone.init_weights()
        backbones.append(copy.deepcopy(backbone.state_dict()))
    for name, value in backbones[0].items():
        assert torch.equal(value, backbones[1][name])
        if name != 'pos_embed':  # resampled to 4 x 3 patches
            assert torch.equal(value, weights[f'backbone.{name}'])
    assert backbones[0]['pos_embed'].shape == (1, 12, 16)
