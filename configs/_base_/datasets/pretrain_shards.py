# Pictures of people in tar files as WebDataset has them, streamed. In place of pretrain_folder.py in a config's _base_.
# The paper's quality filter, with a sidecar for each shard: train_dataloader.dataset.quality.min_score=0.9.
train_pipeline = [
    dict(type='sapiens_mm.LoadRandomResizedCrop', scale=1024, crop_ratio_range=(0.2, 1.0), interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=512,
    num_workers=16,
    persistent_workers=True,
    sampler=dict(type='sapiens_mm.ResumableSampler'),
    batch_sampler=dict(type='sapiens_mm.StreamBatchSampler', drop_last=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='sapiens_mm.ShardedHumanImages', data_root='data/humans_shards/', shuffle_buffer=500, pipeline=train_pipeline))
