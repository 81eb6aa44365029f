# The released recipe for CIHP: as for the 28 parts, twice as long.
_base_ = './dense_200e.py'

train_cfg = dict(max_epochs=400)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=400, start_factor=0.001, by_epoch=False),
    dict(type='PolyLR', begin=0, end=400, power=1.0, eta_min=0., by_epoch=True)
]
