# The recipe's pipelines for one person at a time (Khirodkar et al., ECCV 2024), common to the pose data sets. For another input
# size a leaf says: codec = dict(...); train_pipeline, val_pipeline = _base_.train_pipeline, _base_.val_pipeline;
# train_pipeline[10].encoder = codec; train_pipeline[5].input_size = val_pipeline[2].input_size = codec['input_size'];
# and gives codec to the head's decoder and the pipelines to the loaders' data sets.
# No file here may be called coco.py: mmpose looks for its own keypoint table at configs/_base_/datasets/coco.py.
data_mode = 'topdown'
codec = dict(type='UDPHeatmap', input_size=(768, 1024), heatmap_size=(192, 256), sigma=6)  # (W, H)

train_pipeline = [
    dict(type='sapiens_mm.LoadImage', on_bad='skip'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform'),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='PhotometricDistortion'),
    dict(type='sapiens_mm.RandomBlur', kind='mean', prob=0.1),
    dict(type='sapiens_mm.RandomBlur', kind='median', prob=0.1),
    dict(type='sapiens_mm.CoarseDropout', prob=1.0, hole_height=(0.2, 0.4), hole_width=(0.2, 0.4)),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='sapiens_mm.LoadImage', on_bad='blank'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='PackPoseInputs'),
]

train_dataloader = dict(
    batch_size=64, num_workers=8, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False))
test_dataloader = val_dataloader
