# Normals from public data. Training: SynthHuman (Saleh et al., ICCV 2025), rgb_N.png, alpha_N.png and normal_N.exr in one folder;
# its licence is its authors' (see their page) and yours to keep. The page does not say how the axes point; assumed is what its
# own script shows, x, y and z as OpenCV reads them, towards right, up and camera. Maps that mostly point away from the camera are
# counted and refused: turn `axes` of LoadNormal then.
# Evaluation: renders of THuman2.0 scans (Yu et al., CVPR 2021) that you make, in the folders images/, masks/ and normals/;
# renders of Hi4D (Yin et al., CVPR 2023) in the same folders with
# --cfg-options test_dataloader.dataset.data_root=data/hi4d_renders/
data_root = 'data/synthhuman/'

train_pipeline = [
    dict(type='sapiens_mm.LoadDenseImage'),
    dict(type='sapiens_mm.LoadMask', threshold=127),
    dict(type='sapiens_mm.LoadNormal', axes=('x', 'y', 'z')),
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
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='sapiens_mm.NormalDataset',
        data_root=data_root,
        data_prefix=dict(img_path='', mask_path='', normal_path=''),
        name_prefix=dict(img_path='rgb_', mask_path='alpha_', normal_path='normal_'),
        img_suffixes=('.png', ),
        mask_suffixes=('.png', ),
        map_suffixes=('.exr', ),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='sapiens_mm.NormalDataset',
        data_root='data/thuman2_renders/',
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='sapiens_mm.NormalMetric')
test_evaluator = val_evaluator
