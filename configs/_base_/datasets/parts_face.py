# FaceSynthetics, 19 classes (Wood et al., ICCV 2021): NNNNNN.png and NNNNNN_seg.png in one folder. The release trains on all
# 100,000 pictures and evaluates on none; here the last 1,000 are for evaluation.
_base_ = './dense.py'

data_root = 'data/face_synthetics/dataset_100000/'

train_pipeline = [
    dict(type='sapiens_mm.LoadDenseImage'),
    dict(type='sapiens_mm.LoadParts', vocabulary='face19'),
    dict(
        type='RandomResize', scale=(768, 1024), ratio_range=(0.2, 2.0), keep_ratio=True,
        resize_type='sapiens_mm.DenseResize'),
    dict(type='sapiens_mm.DenseRandomCrop', crop_size=(1024, 768), cat_max_ratio=0.75),
    dict(type='sapiens_mm.DenseResize', scale=(768, 1024)),
    dict(type='sapiens_mm.DenseRandomRotate', prob=0.5, degree=45, seg_pad_val=0),
    dict(type='sapiens_mm.PartsRandomFlip', vocabulary='face19', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='sapiens_mm.PackDenseInputs', byte_labels=True),
]
# What the released recipe does, for comparison: labels that are sampled up to half a pixel off their picture, crops that may
# miss the person. In a leaf: train_dataloader = dict(dataset=dict(pipeline={{_base_.fidelity_train_pipeline}}))
fidelity_train_pipeline = [
    *train_pipeline[:2],
    dict(train_pipeline[2], fidelity=True),
    dict(train_pipeline[3], min_foreground=0.),
    dict(train_pipeline[4], fidelity=True),
    *train_pipeline[5:],
]
test_pipeline = [
    dict(type='LoadImageFromFile'),  # stock, because mmseg's inferencers look for it by name
    dict(type='sapiens_mm.DenseResize', scale=(768, 1024)),  # (W, H); labels are read after it and keep their size
    dict(type='sapiens_mm.LoadParts', vocabulary='face19', on_bad='refuse'),
    dict(type='sapiens_mm.PackDenseInputs', byte_labels=True),
]
val_pipeline = test_pipeline

train_dataloader = dict(
    dataset=dict(
        type='sapiens_mm.PartsDataset',
        vocabulary='face19',
        data_root=data_root,
        seg_map_suffix='_seg.png',
        indices=99000,  # the first
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type='sapiens_mm.PartsDataset',
        vocabulary='face19',
        data_root=data_root,
        seg_map_suffix='_seg.png',
        indices=-1000,  # the last
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='sapiens_mm.PartsMetric')
test_evaluator = val_evaluator

parts_loss = dict(type='CrossEntropyLoss', avg_non_ignore=False)  # the mean over all pixels, ignored ones among them
