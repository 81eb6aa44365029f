_base_ = [
    '../_base_/models/sapiens_pose.py', '../_base_/datasets/pose_keypoints308.py', '../_base_/schedules/pose_210e.py',
    '../_base_/pose_runtime.py'
]

model = dict(
    backbone=dict(
        arch='sapiens_0.3b',
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/sapiens_0.3b_epoch_1600_clean.pth')),
    head=dict(
        in_channels=1024,
        out_channels=308,
        loss=dict(_delete_=True, type='sapiens_mm.KeypointOHKMMSELoss', use_target_weight=True, topk=128),
        decoder={{_base_.codec}}))

optim_wrapper = dict(optimizer=dict(lr=5e-5))
