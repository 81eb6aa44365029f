# What `make demo` trains: a Sapiens of 2 million parameters on 308 keypoints of rendered people, on 2 CPU cores in minutes.
_base_ = [
    '../_base_/models/sapiens_pose.py', '../_base_/datasets/pose_keypoints308.py', '../_base_/schedules/pose_210e.py',
    '../_base_/pose_runtime.py'
]

codec = dict(type='UDPHeatmap', input_size=(144, 192), heatmap_size=(36, 48), sigma=2)
easy = ('sapiens_mm.LoadImage', 'GetBBoxCenterScale', 'RandomFlip', 'RandomBBoxTransform', 'TopdownAffine', 'GenerateTarget',
        'PackPoseInputs')
train_pipeline = [step for step in _base_.train_pipeline if step['type'] in easy]
train_pipeline[3].update(rotate_factor=15., scale_factor=(0.92, 1.08), shift_factor=0.03)
train_pipeline[5].update(encoder=codec)
val_pipeline = _base_.val_pipeline
train_pipeline[4].update(input_size=codec['input_size'])
val_pipeline[2].update(input_size=codec['input_size'])
model = dict(
    backbone=dict(arch=dict(embed_dims=192, num_layers=4, num_heads=3, feedforward_channels=576), img_size=(192, 144)),
    head=dict(
        in_channels=192, out_channels=308, deconv_out_channels=(64, 64), conv_out_channels=(64, 64), decoder=codec,
        loss=dict(_delete_=True, type='sapiens_mm.KeypointOHKMMSELoss', use_target_weight=True, topk=128)))
data_root = 'data/toy/'
train_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(data_root=data_root, pipeline=val_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=10, val_interval=10)
optim_wrapper = dict(optimizer=dict(lr=1.5e-3, weight_decay=0.05), paramwise_cfg=dict(layer_decay_rate=1.))
param_scheduler = [dict(type='LinearLR', end=50, start_factor=0.01, by_epoch=False), dict(type='CosineAnnealingLR', T_max=10)]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=4))
