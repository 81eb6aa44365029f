# For a CPU and the toy people; the backbone is that of the tiny pose model. --cfg-options train_dataloader.dataset.data_root=DIR
_base_ = [
    '../_base_/models/sapiens_mae.py', '../_base_/datasets/pretrain_folder.py', '../_base_/schedules/pretrain_1600e.py',
    '../_base_/pretrain_runtime.py'
]

model = dict(
    backbone=dict(
        arch=dict(embed_dims=192, num_layers=4, num_heads=3, feedforward_channels=576), img_size=192, with_cp=False),
    neck=dict(num_patches=12 * 12, embed_dim=192, decoder_embed_dim=96, decoder_depth=2, decoder_num_heads=3, with_cp=False))

train_pipeline = _base_.train_pipeline
train_pipeline[0].scale = 192
train_dataloader = dict(
    batch_size=32, num_workers=1, dataset=dict(data_root='data/toy/images/train/', pipeline=train_pipeline))

optim_wrapper = dict(dtype=None, optimizer=dict(lr=1e-3))
train_cfg = dict(max_epochs=100)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.0001, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=95, by_epoch=True, begin=5, end=100, convert_to_iter_based=True)
]
default_hooks = dict(checkpoint=dict(interval=20), logger=dict(interval=5))
auto_scale_lr = dict(base_batch_size=32)
