# LIP, 20 classes (Gong et al., CVPR 2017), in the layout of its download.
_base_ = './dense.py'

data_root = 'data/lip/'

train_pipeline = [
    dict(type='sapiens_mm.LoadDenseImage'),
    dict(type='sapiens_mm.LoadParts', vocabulary='lip20'),
    dict(
        type='RandomResize', scale=(768, 1024), ratio_range=(0.75, 1.25), keep_ratio=True,
        resize_type='sapiens_mm.DenseResize'),
    dict(type='sapiens_mm.DenseRandomCrop', crop_size=(1024, 768), cat_max_ratio=0.75),
    dict(type='sapiens_mm.DenseResize', scale=(768, 1024)),
    dict(type='sapiens_mm.DenseRandomRotate', prob=0.5, degree=45, seg_pad_val=255),
    dict(type='sapiens_mm.PartsRandomFlip', vocabulary='lip20', prob=0.5),
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
    dict(type='sapiens_mm.LoadParts', vocabulary='lip20', on_bad='refuse'),
    dict(type='sapiens_mm.PackDenseInputs', byte_labels=True),
]
val_pipeline = test_pipeline

train_dataloader = dict(
    dataset=dict(
        type='sapiens_mm.PartsDataset',
        vocabulary='lip20',
        data_root=data_root,
        data_prefix=dict(img_path='images/train_images', seg_map_path='segmentations/train_segmentations'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type='sapiens_mm.PartsDataset',
        vocabulary='lip20',
        data_root=data_root,
        data_prefix=dict(img_path='images/val_images', seg_map_path='segmentations/val_segmentations'),
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='sapiens_mm.PartsMetric')
test_evaluator = val_evaluator

# Without reduction mmengine takes the mean over all pixels, ignored ones among them, as the release does; 'mean' would divide by
# the sum of the weights.
parts_loss = dict(
    type='CrossEntropyLoss',
    reduction='none',
    class_weight=[
        0.1, 1.5, 1, 1.5, 1.5, 0.8, 1.2, 1, 1.5, 0.8, 1.2, 1.5, 1.5, 0.7, 1, 1, 1, 1, 1.5, 1.5
    ])
