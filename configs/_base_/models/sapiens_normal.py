# Surface normals (Khirodkar et al., ECCV 2024, section 3.6). A leaf states the size:
# model = dict(backbone=dict(arch=...), decode_head=dict(in_channels=...))
model = dict(
    type='sapiens_mm.DenseEstimator',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(1024, 768)),
    backbone=dict(type='sapiens_mm.SapiensViT', img_size=(1024, 768), patch_padding=2),
    decode_head=dict(
        type='sapiens_mm.SapiensNormalHead',
        deconv_out_channels=(768, 768, 768),
        deconv_kernel_sizes=(4, 4, 4),
        conv_out_channels=(768, 768, 768),
        conv_kernel_sizes=(1, 1, 1),
        loss_decode=[dict(type='sapiens_mm.NormalCosineLoss'), dict(type='sapiens_mm.NormalL1Loss')]),
    train_cfg=dict(),
    test_cfg=dict(mode='whole', flip_test=False))
