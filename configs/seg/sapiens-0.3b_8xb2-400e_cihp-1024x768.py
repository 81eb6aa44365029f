_base_ = [
    '../_base_/models/sapiens_parts.py', '../_base_/datasets/parts_cihp.py', '../_base_/schedules/dense_400e.py',
    '../_base_/dense_runtime.py'
]

model = dict(
    backbone=dict(
        arch='sapiens_0.3b',
        patch_padding=2,
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/sapiens_0.3b_epoch_1600_clean.pth')),
    decode_head=dict(in_channels=1024, num_classes=20, loss_decode={{_base_.parts_loss}}))
