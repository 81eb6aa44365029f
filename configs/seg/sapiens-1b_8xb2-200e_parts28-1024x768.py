_base_ = [
    '../_base_/models/sapiens_parts.py', '../_base_/datasets/parts28.py', '../_base_/schedules/dense_200e.py',
    '../_base_/dense_runtime.py'
]

model = dict(
    backbone=dict(
        arch='sapiens_1b',
        patch_padding=0,
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/sapiens_1b_epoch_173_clean.pth')),
    decode_head=dict(in_channels=1536, num_classes=28, loss_decode={{_base_.parts_loss}}))
