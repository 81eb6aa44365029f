# Depth of rendered groups with a Sapiens of 2 million parameters: trains on 2 CPU cores in minutes, see docs/dense.md.
_base_ = [
    '../_base_/models/sapiens_depth.py', '../_base_/datasets/depth_general.py', '../_base_/schedules/dense_200e.py',
    '../_base_/dense_runtime.py'
]

size = (144, 192)  # (W, H)
easy = ('sapiens_mm.LoadDenseImage', 'sapiens_mm.LoadMask', 'sapiens_mm.LoadDepth', 'sapiens_mm.DenseResize',
        'sapiens_mm.DenseRandomFlip', 'sapiens_mm.GenerateDepthTarget', 'sapiens_mm.PackDenseInputs')
train_pipeline = [step for step in _base_.train_pipeline if step['type'] in easy]
test_pipeline = _base_.test_pipeline
for step in train_pipeline + test_pipeline:
    step.update({'sapiens_mm.DenseResize': dict(scale=size)}.get(step['type'], {}))
model = dict(
    data_preprocessor=dict(size=size[::-1]),
    backbone=dict(
        arch=dict(embed_dims=192, num_layers=4, num_heads=3, feedforward_channels=576), img_size=size[::-1]),
    decode_head=dict(
        in_channels=192, deconv_out_channels=(96, 64, 48), deconv_kernel_sizes=(4, 4, 4),
        conv_out_channels=(48, ), conv_kernel_sizes=(1, ), loss_decode=dict(eps=0.05)))  # the nearest do not count
train_dataloader = dict(
    batch_size=8, num_workers=1, dataset=dict(data_root='data/toy_groups/dense/train/', pipeline=train_pipeline))
val_dataloader = dict(batch_size=10, num_workers=1, dataset=dict(data_root='data/toy_groups/dense/val/', pipeline=test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=12, val_interval=12)
optim_wrapper = dict(optimizer=dict(lr=1.5e-3, weight_decay=0.05), paramwise_cfg=dict(layer_decay_rate=1.))
param_scheduler = [dict(type='LinearLR', end=50, start_factor=0.01, by_epoch=False),
    dict(type='PolyLR', power=1.0, end=12, convert_to_iter_based=True)]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=4))
