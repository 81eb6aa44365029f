_base_ = [
    '../_base_/models/sapiens_pose.py', '../_base_/datasets/pose_coco_wholebody.py', '../_base_/schedules/pose_210e.py',
    '../_base_/pose_runtime.py'
]

model = dict(
    backbone=dict(
        arch='sapiens_0.6b',
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/sapiens_0.6b_epoch_1600_clean.pth')),
    head=dict(in_channels=1280, out_channels=133, decoder={{_base_.codec}}))

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))
