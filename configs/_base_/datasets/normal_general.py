# Normals of people (Khirodkar et al., ECCV 2024, section 3.6): images/, masks/ and normals/, the last .npy or .npz
# (H, W, 3), x right, y up, z towards the camera.
_base_ = './dense.py'

data_root = 'data/normal_general/'

train_pipeline = [
    dict(type='sapiens_mm.LoadDenseImage'),
    dict(type='sapiens_mm.LoadMask'),
    dict(type='sapiens_mm.LoadNormal'),
    dict(
        type='RandomResize', scale=(768, 1024), ratio_range=(0.2, 2.0), keep_ratio=True,
        resize_type='sapiens_mm.DenseResize'),
    dict(type='sapiens_mm.DenseRandomCrop', crop_size=(1024, 768)),
    dict(type='sapiens_mm.DenseResize', scale=(768, 1024)),
    dict(type='sapiens_mm.DenseRandomFlip', prob=0.5),
    dict(type='sapiens_mm.GenerateNormalTarget'),
    dict(type='PhotoMetricDistortion'),
    dict(type='sapiens_mm.PackDenseInputs'),
]
# What the released recipe does, for comparison: labels that are sampled up to half a pixel off their picture, crops that may
# miss the person. In a leaf: train_dataloader = dict(dataset=dict(pipeline={{_base_.fidelity_train_pipeline}}))
fidelity_train_pipeline = [
    *train_pipeline[:3],
    dict(train_pipeline[3], fidelity=True),
    dict(train_pipeline[4], min_foreground=0.),
    dict(train_pipeline[5], fidelity=True),
    *train_pipeline[6:],
]
test_pipeline = [
    dict(type='LoadImageFromFile'),  # stock, because mmseg's inferencers look for it by name
    dict(type='sapiens_mm.DenseResize', scale=(768, 1024)),  # (W, H); labels are read after it and keep their size
    dict(type='sapiens_mm.LoadMask', on_bad='refuse'),
    dict(type='sapiens_mm.LoadNormal', on_bad='refuse'),
    dict(type='sapiens_mm.GenerateNormalTarget'),
    dict(type='sapiens_mm.PackDenseInputs'),
]
val_pipeline = test_pipeline

train_dataloader = dict(
    dataset=dict(
        type='sapiens_mm.NormalDataset',
        data_root=data_root + 'train/',
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type='sapiens_mm.NormalDataset',
        data_root=data_root + 'val/',
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='sapiens_mm.NormalMetric')
test_evaluator = val_evaluator
