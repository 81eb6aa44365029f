# The released recipe for pre-training: 1600 epochs of AdamW, 40 of them warm-up, then a cosine.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1600)

optim_wrapper = dict(
    type='sapiens_mm.SafeOptimWrapper',
    dtype='bfloat16',
    optimizer=dict(type='AdamW', lr=1.5e-4 * 4096 / 256, betas=(0.9, 0.95), weight_decay=0.05),
    clip_grad=dict(max_norm=1., norm_type=2),
    paramwise_cfg=dict(
        custom_keys={
            'ln': dict(decay_mult=0.),
            'bias': dict(decay_mult=0.),
            'pos_embed': dict(decay_mult=0.),
            'mask_token': dict(decay_mult=0.),
            'cls_token': dict(decay_mult=0.)
        }))

param_scheduler = [
    dict(type='LinearLR', start_factor=0.0001, by_epoch=True, begin=0, end=40, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=1560, by_epoch=True, begin=40, end=1600, convert_to_iter_based=True)
]

# The learning rate above is for 4096 images per step; it follows the batch that is actually used.
auto_scale_lr = dict(enable=True, base_batch_size=4096)
