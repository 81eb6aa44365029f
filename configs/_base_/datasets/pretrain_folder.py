# Pictures of people in a folder tree, without labels. Any folder: --cfg-options train_dataloader.dataset.data_root=DIR.
# A list of paths or a quality sidecar: train_dataloader.dataset.ann_file=FILE, and for the paper's filter of a sidecar
# train_dataloader.dataset.quality.min_score=0.9.
train_pipeline = [
    dict(type='sapiens_mm.LoadRandomResizedCrop', scale=1024, crop_ratio_range=(0.2, 1.0), interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=512,
    num_workers=16,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='sapiens_mm.ResumableSampler'),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='sapiens_mm.HumanImages', data_root='data/humans/', pipeline=train_pipeline))
