"""Samples of toy humans as the loaders give them."""
import numpy as np

from sapiens_mm.toy.scene import render_scene

SIZE = (128, 96)


def toy_sample(seed=3, size=SIZE, **kwargs) -> dict:
    """A rendered scene with every map."""
    scene = render_scene(seed, size, **kwargs)
    return dict(
        img=scene.image.copy(), img_shape=size, ori_shape=size, gt_seg_map=scene.parts.copy(),
        gt_mask=scene.mask.astype(np.uint8), gt_depth=scene.depth.copy(), gt_normal=scene.normal.copy(),
        seg_fields=['gt_seg_map', 'gt_mask', 'gt_depth', 'gt_normal'])


def build(cfg: dict, kind: str = 'TRANSFORMS'):
    """A transform (or another part) under mmseg's scope, as the runner builds it."""
    from mmengine import registry as roots
    with roots.DefaultScope.overwrite_default_scope('mmseg'):
        with getattr(roots, kind).switch_scope_and_registry('mmseg') as registry:
            return registry.build(cfg)


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Degrees between unit vectors (N, 3)."""
    return np.degrees(np.arccos(np.clip((a * b).sum(-1), -1, 1)))
