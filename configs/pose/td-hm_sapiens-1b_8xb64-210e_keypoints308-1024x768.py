_base_ = [
    '../_base_/models/sapiens_pose.py', '../_base_/datasets/pose_keypoints308.py', '../_base_/schedules/pose_210e.py',
    '../_base_/pose_runtime.py'
]

model = dict(
    backbone=dict(
        arch='sapiens_1b',
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/sapiens_1b_epoch_173_clean.pth')),
    head=dict(
        in_channels=1536,
        out_channels=308,
        loss=dict(_delete_=True, type='sapiens_mm.KeypointOHKMMSELoss', use_target_weight=True, topk=128),
        decoder={{_base_.codec}}))

optim_wrapper = dict(optimizer=dict(lr=5e-5), paramwise_cfg=dict(layer_decay_rate=0.95))
