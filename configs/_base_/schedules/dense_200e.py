# The released recipe for 28 parts, face parts, depth and normals: 200 epochs, AdamW with layer-wise decay, linear to 0.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=200, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='sapiens_mm.SafeOptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, betas=(0.9, 0.999), weight_decay=0.1),
    constructor='sapiens_mm.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.85),
    clip_grad=dict(max_norm=1., norm_type=2))

param_scheduler = [
    dict(type='LinearLR', begin=0, end=400, start_factor=0.001, by_epoch=False),
    dict(type='PolyLR', begin=0, end=200, power=1.0, eta_min=0., by_epoch=True)
]
