_base_ = [
    '../_base_/models/sapiens_normal.py', '../_base_/datasets/normal_render_people.py', '../_base_/schedules/dense_200e.py',
    '../_base_/dense_runtime.py'
]

model = dict(
    backbone=dict(
        arch='sapiens_1b',
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/sapiens_1b_epoch_173_clean.pth')),
    decode_head=dict(in_channels=1536))
