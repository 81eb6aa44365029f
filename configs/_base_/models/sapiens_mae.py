# Masked auto-encoder (Khirodkar et al., ECCV 2024, section 3.2). A leaf states the size:
# model = dict(backbone=dict(arch=...), neck=dict(embed_dim=...)), and for other images than 1024 x 1024 also
# backbone.img_size and neck.num_patches. Hide more with --cfg-options model.mask_ratio=0.95.
model = dict(
    type='sapiens_mm.MaskedAutoencoder',
    mask_ratio=0.75,
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='sapiens_mm.SapiensViT', img_size=1024, patch_padding=0, with_cls_token=True, out_type='raw', with_cp=True),
    neck=dict(
        type='sapiens_mm.MAEDecoder',
        num_patches=64 * 64,
        patch_size=16,
        decoder_embed_dim=512,
        decoder_depth=8,
        decoder_num_heads=16,
        mlp_ratio=4,
        with_cp=True,
        init_cfg=[
            dict(type='Xavier', layer='Linear', distribution='uniform'),
            dict(type='Constant', layer='LayerNorm', val=1.0, bias=0.0)
        ]),
    head=dict(
        type='MAEPretrainHead', norm_pix=True, patch_size=16, loss=dict(type='PixelReconstructionLoss', criterion='L2')))
