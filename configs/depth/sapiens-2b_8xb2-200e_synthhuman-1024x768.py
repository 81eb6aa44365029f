_base_ = [
    '../_base_/models/sapiens_depth.py', '../_base_/datasets/depth_synthhuman.py', '../_base_/schedules/dense_200e.py',
    '../_base_/dense_runtime.py'
]

model = dict(
    backbone=dict(
        arch='sapiens_2b',
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/sapiens_2b_epoch_660_clean.pth')),
    decode_head=dict(in_channels=1920))
