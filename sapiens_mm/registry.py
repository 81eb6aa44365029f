"""Registries of scope ``sapiens_mm``, children of mmengine's roots.

A component is spelled ``sapiens_mm.NAME`` in a config, whatever the default scope is. mmengine imports this module by itself
when it meets the prefix; the module that defines the component is imported when its name is first asked for, so that a
backbone in a detection project never waits for the pose library.
"""
from __future__ import annotations

from importlib import import_module

from mmengine import registry as roots
from mmengine.registry import Registry

from sapiens_mm.compat import flush_announcements


class LazyRegistry(Registry):
    """A registry that knows where each of its names is defined before anything is imported.

    Args:
        index: Module -> the names that it registers.
    """

    def __init__(self, *args, index: dict[str, tuple[str, ...]], **kwargs):
        super().__init__(*args, **kwargs)
        self.index = {name: module for module, names in index.items() for name in names}

    def import_from_location(self) -> None:
        """Nothing to import up front: :meth:`get` imports what it is asked for."""

    def get(self, key: str):
        """As in mmengine, after importing the one module that defines ``key``."""
        name = key[len(self.scope) + 1:] if key.startswith(f'{self.scope}.') else key
        if name in self.index and name not in self._module_dict:
            import_module(self.index[name])
            flush_announcements()  # the run has a log by now
        return super().get(key)


def _child(root: Registry, **index: tuple[str, ...]) -> LazyRegistry:
    modules = {f'sapiens_mm.{path.replace("__", ".")}': names for path, names in index.items()}
    return LazyRegistry(root.name, parent=root, scope='sapiens_mm', index=modules)


# Keyword: a module below sapiens_mm with `__` for the dot. Value: what it registers.
MODELS = _child(
    roots.MODELS,
    backbones__sapiens_vit=('SapiensViT', ),
    dense__estimator=('DenseEstimator', ),
    depth__head=('SapiensDepthHead', ),
    normal__head=('SapiensNormalHead', ),
    pose__head=('SapiensPoseHead', ),
    pose__losses=('KeypointOHKMMSELoss', ),
    seg__head=('SapiensPartsHead', ),
    seg__segmentor=('SapiensPartsSegmentor', ),
    depth__losses=('ScaleInvariantLogLoss', ),
    normal__losses=('NormalCosineLoss', 'NormalL1Loss'),
    pretrain__model=('MaskedAutoencoder', 'MAEDecoder'),
)
DATASETS = _child(
    roots.DATASETS,
    pretrain__dataset=('HumanImages', 'ShardedHumanImages'),
    depth__dataset=('DepthDataset', ),
    normal__dataset=('NormalDataset', ),
    seg__dataset=('PartsDataset', ),
    pose__dataset=('CocoDataset', 'CocoWholeBodyDataset', 'Keypoints308Dataset', 'Mixed308Dataset'),
)
TRANSFORMS = _child(
    roots.TRANSFORMS,
    pretrain__transforms=('LoadRandomResizedCrop', ),
    dense__transforms=('LoadDenseImage', 'LoadMask', 'DenseResize', 'DenseRandomCrop', 'DenseRandomRotate', 'DenseRandomFlip',
                       'RandomBackground', 'PackDenseInputs'),
    depth__transforms=('LoadDepth', 'GenerateDepthTarget'),
    normal__transforms=('LoadNormal', 'GenerateNormalTarget'),
    seg__transforms=('LoadParts', 'PartsRandomFlip'),
    pose__transforms=('LoadImage', 'MapKeypoints', 'RandomBlur', 'CoarseDropout'),
)
DATA_SAMPLERS = _child(
    roots.DATA_SAMPLERS,
    pretrain__sampler=('ResumableSampler', 'StreamBatchSampler'),
)
METRICS = _child(
    roots.METRICS,
    pose__metric=('Keypoints308Metric', 'CommonKeypointsMetric'),
    seg__metric=('PartsMetric', ),
    depth__metric=('DepthMetric', ),
    normal__metric=('NormalMetric', ),
)
HOOKS = _child(
    roots.HOOKS,
    pretrain__hooks=('DataPositionHook', 'ReconstructionHook'),
    engine__atomic_checkpoint=('AtomicCheckpointHook', ),
    engine__hooks=('StrictLoadHook', 'BadSampleHook'),
    dense__hooks=('DenseVisualizationHook', ),
    engine__randomness=('ResumableRandomnessHook', ),
)
OPTIM_WRAPPERS = _child(
    roots.OPTIM_WRAPPERS,
    engine__optim=('SafeOptimWrapper', 'SafeAmpOptimWrapper'),
)
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    roots.OPTIM_WRAPPER_CONSTRUCTORS,
    engine__layer_decay=('LayerDecayOptimWrapperConstructor', ),
)
VISUALIZERS = _child(
    roots.VISUALIZERS,
    pose__visualizer=('PoseVisualizer', ),
    dense__visualizer=('DenseVisualizer', ),
)
FUNCTIONS = _child(roots.FUNCTIONS)
