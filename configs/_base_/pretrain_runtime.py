default_scope = 'mmpretrain'
custom_imports = dict(imports=['sapiens_mm'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='sapiens_mm.AtomicCheckpointHook', interval=1, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'))

custom_hooks = [
    dict(type='sapiens_mm.StrictLoadHook'),
    dict(type='sapiens_mm.BadSampleHook'),
    dict(type='sapiens_mm.DataPositionHook'),
    dict(type='sapiens_mm.ReconstructionHook', interval=500),
]

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='UniversalVisualizer', vis_backends=vis_backends)

log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True, num_digits=6)
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=None, diff_rank_seed=True)
