"""The skeleton of a keypoint set, and the points that two sets have in common."""
from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from sapiens_mm.pose.skeletons import keypoints308

# The two sets that mmpose describes itself; theirs is read, not written again.
_MMPOSE_METAINFO = {17: 'configs/_base_/datasets/coco.py', 133: 'configs/_base_/datasets/coco_wholebody.py'}

_COCO17_GROUPS = dict(body=tuple(range(17)))
# COCO-WholeBody orders its points body, feet, face, left hand, right hand (Jin et al., ECCV 2020, section 3).
_WHOLEBODY_GROUPS = dict(
    body=tuple(range(17)),
    feet=tuple(range(17, 23)),
    face=tuple(range(23, 91)),
    left_hand=tuple(range(91, 112)),
    right_hand=tuple(range(112, 133)))


@dataclass(frozen=True)
class Skeleton:
    """An ordered set of K keypoints.

    Attributes:
        name: What data sets and checkpoints call the set.
        keypoints: K keypoint names; the position is the id.
        flip_indices: K ids; ``flip_indices[i]`` is the point that ``i`` becomes in a mirrored picture.
        sigmas: K standard deviations of OKS, relative to the square root of the object's area.
        halves: K of ``'upper'``, ``'lower'`` or ``''``, for half-body augmentation.
        colors: K RGB colours.
        links: ``(id, id, RGB colour)`` of each drawn line.
        groups: Name of a group of points -> their ids in the order in which annotation files list them.
    """

    name: str
    keypoints: tuple[str, ...]
    flip_indices: tuple[int, ...]
    sigmas: tuple[float, ...]
    halves: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    links: tuple[tuple[int, int, tuple[int, int, int]], ...]
    groups: dict[str, tuple[int, ...]] = field(hash=False)

    @property
    def num_keypoints(self) -> int:
        """K."""
        return len(self.keypoints)

    def index(self, name: str) -> int:
        """Id of the keypoint called ``name``; ``ValueError`` where there is none."""
        if name not in self.keypoints:
            from difflib import get_close_matches
            near = get_close_matches(name, self.keypoints, 3)
            raise ValueError(f'{self.name} has no keypoint {name!r}' + (f'; near it: {", ".join(near)}' if near else ''))
        return self.keypoints.index(name)

    def dataset_info(self) -> dict:
        """The set in the form of mmpose's ``dataset_info``, for the ``metainfo`` of a data set or a visualiser."""
        names = self.keypoints
        return dict(
            dataset_name=self.name,
            paper_info=dict(
                author='Khirodkar, Rawal and Bagautdinov, Timur and Martinez, Julieta and Zhaoen, Su and James, Austin '
                'and Selednik, Peter and Anderson, Stuart and Saito, Shunsuke',
                title='Sapiens: Foundation for Human Vision Models',
                container='European Conference on Computer Vision',
                year='2024',
                homepage='https://arxiv.org/abs/2408.12569'),
            keypoint_info={
                i: dict(name=n, id=i, color=list(self.colors[i]), type=self.halves[i],
                        swap='' if self.flip_indices[i] == i else names[self.flip_indices[i]])
                for i, n in enumerate(names)
            },
            skeleton_info={
                i: dict(link=(names[a], names[b]), id=i, color=list(color)) for i, (a, b, color) in enumerate(self.links)
            },
            joint_weights=[1.0] * len(names),
            sigmas=list(self.sigmas))


def _keypoints308() -> Skeleton:
    names, flips, sigmas, halves, _, colors = zip(*keypoints308.KEYPOINTS)
    return Skeleton('keypoints308', names, flips, sigmas, halves, colors, keypoints308.LINKS, dict(keypoints308.GROUPS))


def installed_metainfo(from_file: str) -> dict:
    """``metainfo`` that names one of mmpose's keypoint tables by its full path.

    mmpose looks for the relative path below the working directory first, where another file may have that name.
    """
    import mmpose
    path = Path(mmpose.__file__).parent / '.mim' / from_file
    return dict(from_file=str(path) if path.is_file() else from_file)


def _from_mmpose(num_keypoints: int) -> Skeleton:
    from mmpose.datasets.datasets.utils import parse_pose_metainfo
    info = parse_pose_metainfo(installed_metainfo(_MMPOSE_METAINFO[num_keypoints]))
    halves = [''] * num_keypoints
    for half in ('upper', 'lower'):
        for i in info[f'{half}_body_ids']:
            halves[i] = half
    as_colors = lambda rows: tuple(tuple(int(c) for c in row) for row in np.asarray(rows))  # noqa: E731
    links = tuple((a, b, c) for (a, b), c in zip(info['skeleton_links'], as_colors(info['skeleton_link_colors'])))
    return Skeleton(info['dataset_name'], tuple(info['keypoint_id2name'][i] for i in range(num_keypoints)),
                    tuple(info['flip_indices']), tuple(float(s) for s in info['sigmas']),
                    tuple(halves), as_colors(info['keypoint_colors']), links,
                    dict(_COCO17_GROUPS if num_keypoints == 17 else _WHOLEBODY_GROUPS))


@cache
def get_skeleton(num_keypoints: int) -> Skeleton:
    """The skeleton of 17 (COCO), 133 (COCO-WholeBody) or 308 (Sapiens) keypoints.

    Raises:
        ValueError: No released Sapiens model has that number of keypoints.
    """
    if num_keypoints == 308:
        return _keypoints308()
    if num_keypoints in _MMPOSE_METAINFO:
        return _from_mmpose(num_keypoints)
    raise ValueError(f'no skeleton of {num_keypoints} keypoints; there are 17 (COCO), 133 (COCO-WholeBody) and 308 (Sapiens)')


def common_keypoints(tier: str = 'certain') -> dict[int, int]:
    """The points that the 308 share with COCO-WholeBody, as 308 id -> COCO-WholeBody id in the latter's order.

    Args:
        tier: ``'by_name'`` (53: the same name in both releases), ``'certain'`` (63: also the ten finger bases, to which
            the release gives the sigma of the COCO-WholeBody joint) or ``'inferred'`` (114: also 51 face points matched
            by name and mirror symmetry alone; the published count, but no list was ever published, so figures over
            them cannot be held against the paper's).

    Returns:
        A new dict.
    """
    tiers = dict(by_name=1, certain=2, inferred=3)
    if tier not in tiers:
        raise ValueError(f'tier must be one of {", ".join(tiers)}, got {tier!r}')
    tables = (keypoints308.COMMON_BY_NAME, keypoints308.COMMON_BY_SIGMA, keypoints308.COMMON_INFERRED)[:tiers[tier]]
    merged = {a: b for table in tables for a, b in table.items()}
    return dict(sorted(merged.items(), key=lambda item: item[1]))
