_base_ = [
    '../_base_/models/sapiens_mae.py', '../_base_/datasets/pretrain_folder.py', '../_base_/schedules/pretrain_1600e.py',
    '../_base_/pretrain_runtime.py'
]

model = dict(backbone=dict(arch='sapiens_0.6b'), neck=dict(embed_dim=1280))
