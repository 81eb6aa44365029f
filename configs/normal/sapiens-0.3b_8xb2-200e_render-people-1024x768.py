_base_ = [
    '../_base_/models/sapiens_normal.py', '../_base_/datasets/normal_render_people.py', '../_base_/schedules/dense_200e.py',
    '../_base_/dense_runtime.py'
]

model = dict(
    backbone=dict(
        arch='sapiens_0.3b',
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/sapiens_0.3b_epoch_1600_clean.pth')),
    decode_head=dict(in_channels=1024))
