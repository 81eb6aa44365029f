"""Decoding and cropping in one step: decode no more pixels than the crop will keep."""
from __future__ import annotations

import io
import logging

import numpy as np
from mmengine import fileio
from mmengine.logging import print_log
from mmpretrain.datasets.transforms import RandomResizedCrop
from PIL import Image

from sapiens_mm.engine.bad_samples import BadSamples
from sapiens_mm.registry import TRANSFORMS

_ORIENTATION = 0x0112  # the tag of EXIF
_UPRIGHT = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_90}
_FILTERS = dict(nearest=Image.Resampling.NEAREST, bilinear=Image.Resampling.BILINEAR, bicubic=Image.Resampling.BICUBIC,
                lanczos=Image.Resampling.LANCZOS, area=Image.Resampling.BOX)


def exif_orientation(picture: Image.Image) -> int:
    """How EXIF says that a picture has to be turned, 1 to 8; 1 where it says nothing, or nothing that makes sense."""
    try:
        orientation = picture.getexif().get(_ORIENTATION) if 'exif' in picture.info else 1
    except Exception:  # the picture itself may be good
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def as_stored(box: tuple[int, int, int, int], size: tuple[int, int], orientation: int) -> tuple[int, int, int, int]:
    """Where a box of an upright picture lies in the picture as it is stored.

    Args:
        box: (x0, y0, x1, y1) in the upright picture.
        size: (W, H) as stored.
        orientation: EXIF's, 1 to 8.
    """
    x0, y0, x1, y1 = box
    W, H = size
    if orientation >= 5:  # rows and columns change places
        x0, y0, x1, y1 = y0, x0, y1, x1
    if orientation in (2, 3, 7, 8):
        x0, x1 = W - x1, W - x0
    if orientation in (3, 4, 6, 7):
        y0, y1 = H - y1, H - y0
    return x0, y0, x1, y1


@TRANSFORMS.register_module()
class LoadRandomResizedCrop(RandomResizedCrop):
    """Read a picture and take mmpretrain's ``RandomResizedCrop`` of it, in one step.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size where the crop still has the pixels that are wanted: its decoder then
    leaves out the fine frequencies. The resampling reads only the crop. Crops are drawn as in mmpretrain: with one state of
    the random generator both take the same. Pictures that EXIF turns are turned, as OpenCV does.

    Args:
        scale: Size of the result: one side of a square, or (H, W).
        interpolation: ``'nearest'``, ``'bilinear'``, ``'bicubic'``, ``'area'`` or ``'lanczos'``, of Pillow.
        max_bad_share: When a greater share of the pictures cannot be read, and more than 3, ``ValueError`` names some.
        backend_args: Of mmengine's ``fileio``, for paths.
        **kwargs: ``crop_ratio_range``, ``aspect_ratio_range`` and ``max_attempts`` of ``RandomResizedCrop``.
    """

    def __init__(self, scale: int | tuple[int, int], interpolation: str = 'bicubic', max_bad_share: float = 0.01,
                 backend_args: dict | None = None, **kwargs):
        super().__init__(scale, interpolation=interpolation, backend='pillow', **kwargs)
        self.backend_args = backend_args
        self.bad_samples = BadSamples(max_bad_share, what='pictures cannot be read',
                                      option='max_bad_share of sapiens_mm.LoadRandomResizedCrop')

    def transform(self, results: dict) -> dict | None:
        """Takes ``img_path``, or ``img_bytes`` and a name in ``img_path``. Adds ``img`` (H, W, 3) BGR uint8, ``img_shape``
        and ``ori_shape`` (H, W). None for a picture that cannot be read."""
        path = results['img_path']
        try:
            content = results.pop('img_bytes', None)
            if content is None:
                content = fileio.get(path, backend_args=self.backend_args)
            results['img'], results['ori_shape'] = self._crop(content)
        except Exception as error:  # decoders raise anything on broken files; too many of whatever kind stop the run
            print_log(f'{path} cannot be read and is left out ({type(error).__name__}: {error})', 'current', logging.WARNING)
            self.bad_samples.add(path)
            return None
        self.bad_samples.add()
        results['img_shape'] = results['img'].shape[:2]
        return results

    def _crop(self, content: bytes) -> tuple[np.ndarray, tuple[int, int]]:
        """The crop (H, W, 3) as BGR, and the picture's (H, W)."""
        picture = Image.open(io.BytesIO(content))
        orientation = exif_orientation(picture)
        size = picture.size
        upright = size[::-1] if orientation in (5, 6, 7, 8) else size
        # A stand-in of the picture's shape, without its memory.
        top, left, height, width = self.rand_crop_params(np.broadcast_to(np.uint8(0), upright[::-1]))
        box = as_stored((left, top, left + width, top + height), size, orientation)
        out_size = self.scale[::-1] if upright == size else self.scale  # (W, H) as stored
        room = min((box[2] - box[0]) / out_size[0], (box[3] - box[1]) / out_size[1])
        reduction = max(r for r in (1, 2, 4, 8) if r <= max(room, 1))
        if reduction > 1:
            picture.draft('RGB', (size[0] // reduction, size[1] // reduction))
        # 1 where the format has no reduced decoding. Cells at the right and bottom edge may be incomplete.
        reduction = 1 if picture.size == size else reduction
        box = tuple(min(c / reduction, picture.size[i % 2]) for i, c in enumerate(box))
        if picture.mode.startswith('I;16'):  # Pillow would cut off what is above 255
            picture = picture.convert('I').point(lambda value: value * (1 / 256)).convert('L')
        if picture.mode not in ('RGB', 'L'):
            picture = picture.convert('RGB')
        picture = picture.resize(out_size, _FILTERS[self.interpolation], box=box)
        if orientation in _UPRIGHT:
            picture = picture.transpose(_UPRIGHT[orientation])
        if picture.mode == 'L':
            picture = picture.convert('RGB')
        return np.asarray(picture)[..., ::-1], upright[::-1]
