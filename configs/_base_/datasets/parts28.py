# The 28 body parts of Sapiens (Khirodkar et al., ECCV 2024, section 3.4): pictures and index PNGs (0 background, 255 ignored).
# Files of another vocabulary: LoadParts(source=...) in both pipelines. Files of the raw 34 classes: source='raw34'.
# data/backgrounds/ holds pictures without people, for example BG-20k; without such a folder leave RandomBackground out.
_base_ = './dense.py'

data_root = 'data/parts28/'

train_pipeline = [
    dict(type='sapiens_mm.LoadDenseImage'),
    dict(type='sapiens_mm.LoadParts', vocabulary='parts28'),
    dict(type='sapiens_mm.RandomBackground', backgrounds='data/backgrounds/', prob=0.8),
    dict(
        type='RandomResize', scale=(768, 1024), ratio_range=(0.2, 2.0), keep_ratio=True,
        resize_type='sapiens_mm.DenseResize'),
    dict(type='sapiens_mm.DenseRandomCrop', crop_size=(1024, 768), cat_max_ratio=0.75),
    dict(type='sapiens_mm.DenseResize', scale=(768, 1024)),
    dict(type='sapiens_mm.DenseRandomRotate', prob=0.5, degree=45, seg_pad_val=0),
    dict(type='sapiens_mm.PartsRandomFlip', vocabulary='parts28', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='sapiens_mm.PackDenseInputs', byte_labels=True),
]
# What the released recipe does, for comparison: labels that are sampled up to half a pixel off their picture, crops that may
# miss the person, ignored pixels that keep their picture, colours that move all the way. In a leaf: train_dataloader =
# dict(dataset=dict(pipeline={{_base_.fidelity_train_pipeline}}))
fidelity_train_pipeline = [
    *train_pipeline[:2],
    dict(train_pipeline[2], color_transfer=1., ignored_is_foreground=True),
    dict(train_pipeline[3], fidelity=True),
    dict(train_pipeline[4], min_foreground=0.),
    dict(train_pipeline[5], fidelity=True),
    *train_pipeline[6:],
]
test_pipeline = [
    dict(type='LoadImageFromFile'),  # stock, because mmseg's inferencers look for it by name
    dict(type='sapiens_mm.DenseResize', scale=(768, 1024)),  # (W, H); labels are read after it and keep their size
    dict(type='sapiens_mm.LoadParts', vocabulary='parts28', on_bad='refuse'),
    dict(type='sapiens_mm.PackDenseInputs', byte_labels=True),
]
val_pipeline = test_pipeline

train_dataloader = dict(
    dataset=dict(
        type='sapiens_mm.PartsDataset',
        vocabulary='parts28',
        data_root=data_root,
        data_prefix=dict(img_path='images/train', seg_map_path='parts/train'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type='sapiens_mm.PartsDataset',
        vocabulary='parts28',
        data_root=data_root,
        data_prefix=dict(img_path='images/val', seg_map_path='parts/val'),
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
        0.1, 10, 3, 2, 4, 4, 2, 2, 6, 10, 3, 3, 1, 4, 4, 2, 2, 6, 10, 3, 3, 1, 1, 10, 10, 10, 10, 10
    ])
