# Top-down pose (Khirodkar et al., ECCV 2024, section 4.1). A leaf states the size, the keypoints and the codec:
# model = dict(backbone=dict(arch=...), head=dict(in_channels=..., out_channels=..., decoder={{_base_.codec}}))
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(type='sapiens_mm.SapiensViT', img_size=(1024, 768), patch_padding=2),
    head=dict(
        type='sapiens_mm.SapiensPoseHead',
        deconv_out_channels=(768, 768),
        deconv_kernel_sizes=(4, 4),
        conv_out_channels=(768, 768),
        conv_kernel_sizes=(1, 1),
        loss=dict(type='KeypointMSELoss', use_target_weight=True)),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))
