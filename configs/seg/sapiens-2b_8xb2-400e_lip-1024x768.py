_base_ = [
    '../_base_/models/sapiens_parts.py', '../_base_/datasets/parts_lip.py', '../_base_/schedules/dense_400e_cosine.py',
    '../_base_/dense_runtime.py'
]

model = dict(
    backbone=dict(
        arch='sapiens_2b',
        patch_padding=2,
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/sapiens_2b_epoch_660_clean.pth')),
    decode_head=dict(in_channels=1920, num_classes=20, loss_decode={{_base_.parts_loss}}))
