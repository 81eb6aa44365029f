_base_ = [
    '../_base_/models/sapiens_pose.py', '../_base_/datasets/pose_coco.py', '../_base_/schedules/pose_210e.py',
    '../_base_/pose_runtime.py'
]

model = dict(
    backbone=dict(
        arch='sapiens_1b',
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/sapiens_1b_epoch_173_clean.pth')),
    head=dict(in_channels=1536, out_channels=17, decoder={{_base_.codec}}))
