_base_ = [
    '../_base_/models/sapiens_pose.py', '../_base_/datasets/pose_coco_wholebody.py', '../_base_/schedules/pose_210e.py',
    '../_base_/pose_runtime.py'
]

model = dict(
    backbone=dict(
        arch='sapiens_2b',
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/sapiens_2b_epoch_660_clean.pth')),
    head=dict(in_channels=1920, out_channels=133, decoder={{_base_.codec}}))
