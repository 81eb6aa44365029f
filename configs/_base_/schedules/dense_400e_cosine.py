# The released recipe for LIP: as for CIHP, along a cosine.
_base_ = './dense_200e.py'

train_cfg = dict(max_epochs=400)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=400, start_factor=0.001, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=0, end=400, T_max=400, eta_min=0., by_epoch=True)
]
