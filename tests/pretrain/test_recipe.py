"""The configs of pre-training: the released recipe, and that they run under mmpretrain's own tool."""
import os
import subprocess
import sys
from pathlib import Path

import mmpretrain
import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from tests.pretrain.support import write_shards
from tests.pretrain.test_model import build

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs/pretrain'
RELEASED = sorted(CONFIGS.glob('*_8xb512-*.py'))


@pytest.mark.parametrize('path', RELEASED, ids=lambda path: path.stem)
def test_the_released_recipe(path):
    cfg = Config.fromfile(path)
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.betas, optimizer.weight_decay) == ('AdamW', 2.4e-3, (0.9, 0.95), 0.05)
    assert cfg.optim_wrapper.dtype == 'bfloat16' and cfg.optim_wrapper.clip_grad.max_norm == 1.
    assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=4096) and cfg.train_dataloader.batch_size == 512
    warm_up, cosine = cfg.param_scheduler
    assert (warm_up.end, cosine.begin, cosine.end, cosine.T_max, cfg.train_cfg.max_epochs) == (40, 40, 1600, 1560, 1600)
    assert cfg.model.backbone.img_size == 1024 and cfg.model.backbone.patch_padding == 0 and cfg.model.mask_ratio == 0.75
    assert cfg.model.backbone.with_cp and cfg.model.neck.with_cp and cfg.model.head.norm_pix
    crop = cfg.train_dataloader.dataset.pipeline[0]
    assert crop.scale == 1024 and crop.crop_ratio_range == (0.2, 1.0)


def test_there_are_four_sizes():
    assert [path.stem.split('_')[1] for path in RELEASED] == [f'sapiens-{size}' for size in ('0.3b', '0.6b', '1b', '2b')]


def test_norms_biases_tokens_and_tables_are_not_decayed(tiny_arch):
    model = build(tiny_arch)
    cfg = Config.fromfile(RELEASED[0]).optim_wrapper
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        wrapper = build_optim_wrapper(model, cfg)
    names = {id(p): name for name, p in model.named_parameters()}
    decay = {names[id(p)]: group['weight_decay'] for group in wrapper.optimizer.param_groups for p in group['params']}
    assert set(decay) == {name for name, p in model.named_parameters() if p.requires_grad}
    for name, value in decay.items():
        spared = name.endswith('bias') or '.ln' in name or name.endswith(('cls_token', 'mask_token'))
        assert value == (0 if spared else 0.05), name


def test_mmpretrain_trains_from_shards_with_its_own_tool(tmp_path):
    write_shards(tmp_path / 'shards', 12, 5)
    config = tmp_path / 'config.py'
    config.write_text(f"""
_base_ = [{', '.join(repr(str(ROOT / 'configs/_base_' / base)) for base in (
    'models/sapiens_mae.py', 'datasets/pretrain_shards.py', 'schedules/pretrain_1600e.py', 'pretrain_runtime.py'))}]
model = dict(
    backbone=dict(arch=dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16), img_size=32),
    neck=dict(num_patches=4, embed_dim=16, decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2))
train_pipeline = _base_.train_pipeline
train_pipeline[0].scale = 32
train_dataloader = dict(batch_size=4, num_workers=1, dataset=dict(data_root={str(tmp_path / 'shards')!r}, pipeline=train_pipeline))
train_cfg = dict(max_epochs=2)
""")
    tool = Path(mmpretrain.__file__).parent / '.mim/tools/train.py'
    done = subprocess.run([sys.executable, str(tool), str(config), '--work-dir', str(tmp_path / 'work')], capture_output=True,
                          text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / 'work/epoch_2.pth').is_file()
    assert 'batch size is 4' in done.stdout + done.stderr  # the learning rate was scaled to it
