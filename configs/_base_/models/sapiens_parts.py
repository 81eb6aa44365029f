# Body parts (Khirodkar et al., ECCV 2024, section 3.4). A leaf states the size, the classes and the patch grid's padding:
# model = dict(backbone=dict(arch=..., patch_padding=...), decode_head=dict(in_channels=..., num_classes=..., loss_decode=...))
model = dict(
    type='sapiens_mm.SapiensPartsSegmentor',  # mmseg's EncoderDecoder with less memory in prediction
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(1024, 768),
        pad_val=0,
        seg_pad_val=255),
    backbone=dict(type='sapiens_mm.SapiensViT', img_size=(1024, 768)),
    decode_head=dict(
        type='sapiens_mm.SapiensPartsHead',
        deconv_out_channels=(768, 768, 768),
        deconv_kernel_sizes=(4, 4, 4),
        conv_out_channels=(768, 768, 768),
        conv_kernel_sizes=(1, 1, 1)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))
