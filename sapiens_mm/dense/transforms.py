"""Transforms that move a picture and every map of it together: part labels, mask, depth, surface normals.

What a sample carries on its way::

    img          (H, W, 3) uint8, BGR
    gt_seg_map   (H, W) uint8, class ids, 0 background, 255 ignored
    gt_mask      (H, W) uint8, 1 where the person is
    gt_depth     (H, W) float32, larger is farther
    gt_normal    (H, W, 3) float32, unit vectors, x right, y up, z towards the camera
    seg_fields   names of those of the maps that are there

Stock transforms of mmseg that move ``seg_fields`` move these maps too. All maps are resampled to the nearest pixel: between two
surfaces a mean of depths, of normals or of class ids would be a third one that is nowhere in the picture. Normals are brought
back to length 1 after every step, which is where rounding and files in half precision would otherwise add up.
"""
from __future__ import annotations

import logging
from collections.abc import Sequence

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile, to_tensor
from mmcv.transforms.utils import cache_randomness
from mmengine import fileio
from mmengine.logging import print_log
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs, RandomCrop, RandomFlip, RandomRotate, Resize

from sapiens_mm.engine.bad_samples import BadSamples, read_image
from sapiens_mm.registry import TRANSFORMS

IGNORE_INDEX = 255


def normalize(normal: np.ndarray) -> np.ndarray:
    """(H, W, 3) vectors to length 1 in float32; those that have no direction become 0."""
    length = np.linalg.norm(normal, axis=2, keepdims=True)
    directed = (length > 1e-6) & np.isfinite(length)
    return np.divide(normal, length, out=np.zeros(normal.shape, np.float32), where=directed, casting='same_kind')


def foreground(results: dict, ignored_is_foreground: bool = False) -> np.ndarray | None:
    """(H, W) bool, where the person is: the mask, or what the part labels call neither background nor ignored."""
    if 'gt_mask' in results:
        return results['gt_mask'] > 0
    if 'gt_seg_map' in results:
        labels = results['gt_seg_map']
        return (labels > 0) & ((labels != IGNORE_INDEX) | ignored_is_foreground)
    return None


class BadLabel(Exception):
    """What is wrong with a label, as the end of a sentence that begins with its file."""


class LabelLoader(BaseTransform):
    """Base of transforms that read one label of a sample.

    A sample without the label's path, as in inference, passes. A subclass states ``path_key`` and ``what`` and reads in
    ``load``.

    Args:
        on_bad: What becomes of a label that cannot be used. ``'skip'``: the data set takes another sample (training).
            ``'refuse'``: ``ValueError`` (evaluation, where a figure over the rest would be another figure).
        max_bad_share: When a greater share of the labels is bad, and more than 3, ``ValueError`` names some of them.
        backend_args: Of mmengine's ``fileio``.
    """

    path_key: str
    what: str

    def __init__(self, on_bad: str = 'skip', max_bad_share: float = 0.01, backend_args: dict | None = None):
        if on_bad not in ('skip', 'refuse'):
            raise ValueError(f"on_bad must be 'skip' or 'refuse', got {on_bad!r}")
        self.on_bad = on_bad
        self.backend_args = backend_args
        self.bad_samples = BadSamples(max_bad_share, what=f'{self.what} that were read cannot be used',
                                      option=f'max_bad_share of sapiens_mm.{type(self).__name__}')

    def load(self, path: str, results: dict) -> None:
        """Put the label of ``path`` into ``results``, or raise :class:`BadLabel`."""
        raise NotImplementedError

    def transform(self, results: dict) -> dict | None:
        """Adds the label; None where it is skipped."""
        path = results.get(self.path_key)
        if path is None:
            return results
        fault = None
        try:
            self.load(path, results)
        except BadLabel as e:
            fault = e
        self.bad_samples.add(None if fault is None else path)
        if fault is None:
            return results
        if self.on_bad == 'refuse':
            raise ValueError(f'{path} {fault}') from fault
        print_log(f'{path} {fault}; the sample is left out', 'current', logging.WARNING)
        return None

    def _put(self, results: dict, name: str, label: np.ndarray) -> None:
        """Add a map that must be as large as the original picture."""
        if label.shape[:2] != tuple(results['ori_shape'][:2]):
            (h, w), (ih, iw) = label.shape[:2], results['ori_shape'][:2]
            raise BadLabel(f'is {h} x {w} pixels (H x W), its image {results.get("img_path", "")} {ih} x {iw}')
        results[name] = label
        fields = results.setdefault('seg_fields', [])
        if name not in fields:
            fields.append(name)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(on_bad={self.on_bad!r})'


@TRANSFORMS.register_module()
class LoadDenseImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile`` for training: an image that cannot be decoded is left out and counted.

    Args:
        max_bad_share: When a greater share of the images is bad, and more than 3, ``ValueError`` names some of them.
        **kwargs: Of mmcv's ``LoadImageFromFile``.

    Raises:
        FileNotFoundError: No image there.
        ValueError: Too many bad images.
    """

    def __init__(self, max_bad_share: float = 0.01, **kwargs):
        super().__init__(**kwargs)
        self.bad_samples = BadSamples(max_bad_share, option='max_bad_share of sapiens_mm.LoadDenseImage')

    def transform(self, results: dict) -> dict | None:
        """Adds ``img`` (H, W, 3), BGR uint8, ``img_shape`` and ``ori_shape`` (H, W); None where it is skipped."""
        path = results['img_path']
        img = read_image(path, color_type=self.color_type, backend=self.imdecode_backend, backend_args=self.backend_args)
        self.bad_samples.add(path if img is None else None)
        if img is None:
            print_log(f'{path} cannot be decoded as an image; it is left out', 'current', logging.WARNING)
            return None
        results['img'] = img.astype(np.float32) if self.to_float32 else img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadMask(LabelLoader):
    """Read where the person is: ``mask_path`` to ``gt_mask``.

    Args:
        threshold: The person is where the first channel is greater; 0 for masks, 127 for alpha maps.
        **kwargs: Of :class:`LabelLoader`. Bad is a mask of another size than its image, and one without any person.
    """

    path_key, what = 'mask_path', 'masks'

    def __init__(self, threshold: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.threshold = threshold

    def load(self, path: str, results: dict) -> None:
        """See :class:`LabelLoader`."""
        mask = read_image(path, 'mask', backend_args=self.backend_args)
        if mask is None:
            raise BadLabel('cannot be decoded as an image')
        mask = (mask[..., 0] > self.threshold).astype(np.uint8)
        if not mask.any():
            raise BadLabel('is empty: there is no person in the mask')
        self._put(results, 'gt_mask', mask)


@TRANSFORMS.register_module()
class DenseResize(Resize):
    """mmseg's ``Resize`` with maps that stay under their picture.

    OpenCV's nearest neighbour takes the pixel left and above of where the picture is sampled, up to half a pixel off; the
    exact variant does not. A picture that is stretched (``keep_ratio=False``) keeps its normals, as in the release.

    Args:
        fidelity: Take OpenCV's inexact nearest neighbour, as the released recipe does.
        **kwargs: Of mmseg's ``Resize``: ``scale`` (W, H), ``keep_ratio`` and so on.
    """

    def __init__(self, *args, fidelity: bool = False, **kwargs):
        super().__init__(*args, **kwargs)
        self.fidelity = fidelity

    def _resize_seg(self, results: dict) -> None:
        height, width = results['img_shape'][:2]
        interpolation = cv2.INTER_NEAREST if self.fidelity else cv2.INTER_NEAREST_EXACT
        for name in results.get('seg_fields', []):
            results[name] = cv2.resize(results[name], (width, height), interpolation=interpolation)
        if 'gt_normal' in results.get('seg_fields', []):
            results['gt_normal'] = normalize(results['gt_normal'])


@TRANSFORMS.register_module()
class DenseRandomCrop(RandomCrop):
    """mmseg's ``RandomCrop`` that does not lose the person.

    A picture smaller than the crop stays as large as it is in that direction.

    Args:
        crop_size: (H, W).
        cat_max_ratio: Draw again, up to 10 times, while one class fills more than this share of the crop.
        min_foreground: Share of the crop that has to be person, or the whole person where it is smaller. Up to 10 crops are
            drawn; after that one that contains a pixel of the person. 0 gives no guarantee, as in the released recipe.
        ignore_index: Class id that counts as neither person nor class.
    """

    def __init__(self, crop_size: int | tuple[int, int], cat_max_ratio: float = 1., min_foreground: float = 0.01,
                 ignore_index: int = IGNORE_INDEX):
        if not 0 <= min_foreground <= 1:
            raise ValueError(f'min_foreground must be a share between 0 and 1, got {min_foreground}')
        super().__init__(crop_size if isinstance(crop_size, int) else tuple(crop_size), cat_max_ratio, ignore_index)
        self.min_foreground = min_foreground

    @cache_randomness
    def crop_bbox(self, results: dict) -> tuple[int, int, int, int]:
        """Top, bottom, left and right of the crop."""
        crop = super().crop_bbox(results)
        person = foreground(results) if self.min_foreground else None
        if person is None or not person.any():
            return crop
        needed = min(self.min_foreground * self.crop_size[0] * self.crop_size[1], np.count_nonzero(person))
        for _ in range(10):
            if np.count_nonzero(self.crop(person, crop)) >= needed:
                return crop
            crop = super().crop_bbox(results)
        rows, columns = np.nonzero(person)
        chosen = np.random.randint(len(rows))
        (top, bottom), (left, right) = (self._around(at, size, full) for at, size, full in zip(
            (rows[chosen], columns[chosen]), self.crop_size, person.shape))
        return top, bottom, left, right

    @staticmethod
    def _around(at: int, size: int, full: int) -> tuple[int, int]:
        """A random window of ``size`` out of ``full`` pixels that contains pixel ``at``."""
        start = np.random.randint(max(at - size + 1, 0), min(at, max(full - size, 0)) + 1)
        return start, start + size

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(crop_size={self.crop_size}, cat_max_ratio={self.cat_max_ratio}, '
                f'min_foreground={self.min_foreground})')


@TRANSFORMS.register_module()
class DenseRandomRotate(RandomRotate):
    """mmseg's ``RandomRotate`` about the picture's middle, for every map; normals turn with the picture.

    What comes in from outside is ``pad_val`` in the picture, ``seg_pad_val`` in the part labels and no person in the mask.

    Args:
        prob: How often, 0 to 1.
        degree: Greatest angle either way in degrees, or (least, greatest); positive is clockwise.
        pad_val: Grey value of the picture's new corners.
        seg_pad_val: Class id of the new corners.
    """

    def __init__(self, prob: float, degree: float | tuple[float, float], pad_val: float = 0, seg_pad_val: int = IGNORE_INDEX):
        super().__init__(prob, degree, pad_val=pad_val, seg_pad_val=seg_pad_val)

    def transform(self, results: dict) -> dict:
        """Modifies ``img`` and the maps."""
        rotate, degree = self.generate_degree()
        if not rotate:
            return results
        results['img'] = mmcv.imrotate(results['img'], angle=degree, border_value=self.pal_val)
        for name in results.get('seg_fields', []):
            outside = self.seg_pad_val if name == 'gt_seg_map' else 0
            results[name] = mmcv.imrotate(results[name], angle=degree, border_value=outside, interpolation='nearest')
        if 'gt_normal' in results.get('seg_fields', []):
            # Clockwise in the picture, where y of a normal points up.
            cos, sin = np.cos(np.deg2rad(degree)), np.sin(np.deg2rad(degree))
            turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], np.float32)  # row vectors
            results['gt_normal'] = normalize(results['gt_normal'] @ turn)
        return results


@TRANSFORMS.register_module()
class DenseRandomFlip(RandomFlip):
    """mmseg's ``RandomFlip`` that turns what the maps say too.

    Normals change the sign of x under a horizontal mirror and of y under a vertical one. Left and right parts change places
    under either, and keep theirs under both at once (``'diagonal'``), which is half a turn and no mirror.

    Args:
        prob: How often, 0 to 1.
        direction: As in mmcv: ``'horizontal'``, ``'vertical'``, ``'diagonal'`` or several.
        swap_seg_labels: Pairs of class ids that change places.
    """

    def _flip(self, results: dict) -> None:
        direction = results['flip_direction']
        results['img'] = np.ascontiguousarray(mmcv.imflip(results['img'], direction))
        for name in results.get('seg_fields', []):
            flipped = np.ascontiguousarray(mmcv.imflip(results[name], direction))
            if name == 'gt_seg_map' and direction != 'diagonal' and self.swap_seg_labels:
                flipped = self._swap_table()[flipped]
            if name == 'gt_normal':
                flipped *= np.array([-1 if direction != 'vertical' else 1, -1 if direction != 'horizontal' else 1, 1], np.float32)
            results[name] = flipped
        results['swap_seg_labels'] = self.swap_seg_labels

    def _swap_table(self) -> np.ndarray:
        table = np.arange(256, dtype=np.uint8)
        for a, b in self.swap_seg_labels:
            table[[a, b]] = b, a
        return table


@TRANSFORMS.register_module()
class RandomBackground(BaseTransform):
    """Put the person before another background, before the picture is resized.

    The background is brought to the picture's height and cropped around its middle, or stretched where it is too narrow. With
    ``color_transfer`` the person's colours take on mean and spread of the background's (Reinhard et al., 2001), halfway.

    Args:
        backgrounds: Folder of pictures without people: jpg, jpeg or png, also in subfolders.
        prob: How often, 0 to 1.
        color_transfer: How far the colours move, 0 (not) to 1 (all the way).
        ignored_is_foreground: Keep the pixels of ignored part labels too, as in the released recipe. Otherwise they are
            covered by the background and become background in the labels' eyes: they stay ignored.
        backend_args: Of mmengine's ``fileio``.

    Raises:
        FileNotFoundError: The folder is not there.
        ValueError: There is no picture in it; the sample has neither mask nor part labels.
    """

    def __init__(self, backgrounds: str, prob: float = 0.5, color_transfer: float = 0.5, ignored_is_foreground: bool = False,
                 backend_args: dict | None = None):
        if not 0 <= prob <= 1 or not 0 <= color_transfer <= 1:
            raise ValueError(f'prob and color_transfer must lie between 0 and 1, got {prob} and {color_transfer}')
        self.backgrounds, self.prob, self.color_transfer = backgrounds, prob, color_transfer
        self.ignored_is_foreground, self.backend_args = ignored_is_foreground, backend_args
        if not fileio.isdir(backgrounds, backend_args):
            raise FileNotFoundError(f'there is no folder {backgrounds} of background pictures; name one in '
                                    'sapiens_mm.RandomBackground(backgrounds=...) or take the transform out of the pipeline')
        found = fileio.list_dir_or_file(backgrounds, list_dir=False, recursive=True, backend_args=backend_args)
        self.files = sorted(fileio.join_path(backgrounds, name) for name in found
                            if name.lower().endswith(('.jpg', '.jpeg', '.png')))
        if not self.files:
            raise ValueError(f'there is no jpg, jpeg or png picture in {backgrounds}; backgrounds are pictures without people')

    def transform(self, results: dict) -> dict:
        """Modifies ``img`` (H, W, 3) uint8."""
        if np.random.rand() >= self.prob:
            return results
        person = foreground(results, self.ignored_is_foreground)
        if person is None:
            raise ValueError('RandomBackground needs gt_mask or gt_seg_map; load one of them before it')
        background = self._draw(results['img'].shape[:2])
        if background is not None:
            results['img'] = self._paste(results['img'], person, background)
        return results

    def _draw(self, size: tuple[int, int]) -> np.ndarray | None:
        """One of the pictures at (H, W), or None where it cannot be decoded."""
        path = self.files[np.random.randint(len(self.files))]
        picture = read_image(path, 'background picture', 'the folder changed during the run', backend_args=self.backend_args)
        if picture is None:
            print_log(f'{path} cannot be decoded as an image; the sample keeps its background', 'current', logging.WARNING)
            return None
        height, width = size
        scaled = cv2.resize(picture, (max(round(picture.shape[1] * height / picture.shape[0]), 1), height))
        if scaled.shape[1] < width:
            return cv2.resize(picture, (width, height))
        left = (scaled.shape[1] - width) // 2
        return scaled[:, left:left + width]

    def _paste(self, img: np.ndarray, person: np.ndarray, background: np.ndarray) -> np.ndarray:
        out = background.copy()
        out[person] = img[person]
        if self.color_transfer and person.any() and not person.all():
            lab = cv2.cvtColor(out, cv2.COLOR_BGR2LAB).astype(np.float32)
            inside, around = lab[person], lab[~person]
            # The person's spread bounds the change: a plain wall would take away all contrast.
            gain = np.clip(around.std(0) / np.maximum(inside.std(0), 1), 0.5, 2)
            moved = (inside - inside.mean(0)) * gain + around.mean(0)
            lab[person] = inside + self.color_transfer * (moved - inside)
            out[person] = cv2.cvtColor(np.clip(lab + 0.5, 0, 255).astype(np.uint8), cv2.COLOR_LAB2BGR)[person]
        return out

    def __repr__(self) -> str:
        return f'{type(self).__name__}(backgrounds={self.backgrounds!r}, prob={self.prob}, color_transfer={self.color_transfer})'


@TRANSFORMS.register_module()
class PackDenseInputs(PackSegInputs):
    """mmseg's ``PackSegInputs`` that also packs ``gt_mask`` (1, H, W) uint8 and ``gt_normal_map`` (3, H, W) float32.

    ``gt_seg_map`` becomes ``gt_sem_seg`` and ``gt_depth_map`` stays, as in mmseg.

    Args:
        meta_keys: Keys of the sample that become metainfo where they are there.
        byte_labels: Part labels stay uint8, an eighth of mmseg's int64 on the way from the workers and in evaluation.
            ``sapiens_mm.SapiensPartsHead`` widens them for its loss; heads of mmseg's own cannot train with them.
    """

    def __init__(self, meta_keys: Sequence[str] = ('img_path', 'seg_map_path', 'mask_path', 'depth_path', 'normal_path',
                                                   'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip',
                                                   'flip_direction', 'reduce_zero_label'), byte_labels: bool = False):
        super().__init__(meta_keys)
        self.byte_labels = byte_labels

    def transform(self, results: dict) -> dict:
        """``inputs`` (3, H, W) uint8 and ``data_samples``."""
        narrow = self.byte_labels and 'gt_seg_map' in results
        packed = super().transform({key: value for key, value in results.items() if key != 'gt_seg_map' or not narrow})
        fields = {}
        if narrow:
            fields['gt_sem_seg'] = results['gt_seg_map'][None]
        if 'gt_mask' in results:
            fields['gt_mask'] = results['gt_mask'][None]
        if 'gt_normal_map' in results:
            fields['gt_normal_map'] = results['gt_normal_map'].transpose(2, 0, 1)
        packed['data_samples'].set_data(
            {name: PixelData(data=to_tensor(np.ascontiguousarray(data))) for name, data in fields.items()})
        return packed
