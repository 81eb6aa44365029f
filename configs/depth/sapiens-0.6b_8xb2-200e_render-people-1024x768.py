_base_ = [
    '../_base_/models/sapiens_depth.py', '../_base_/datasets/depth_render_people.py', '../_base_/schedules/dense_200e.py',
    '../_base_/dense_runtime.py'
]

model = dict(
    backbone=dict(
        arch='sapiens_0.6b',
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/sapiens_0.6b_epoch_1600_clean.pth')),
    decode_head=dict(in_channels=1280))
