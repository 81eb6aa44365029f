"""Pictures of body parts, depth and surface normals."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmengine.dist import master_only
from mmseg.visualization import SegLocalVisualizer
from torch import Tensor

from sapiens_mm.dense.valid import valid_depth, valid_normal
from sapiens_mm.registry import VISUALIZERS

IGNORE_INDEX = 255
NEUTRAL = 128  # grey of pixels without a value; also the picture of a normal of length 0
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
# What the colours of draw_depth and draw_normals mean.
_MEANING = dict(
    depth=[('near', (252, 255, 164)), ('between', (188, 55, 84)), ('far', (0, 0, 4))],
    normal=[('right', (255, 128, 128)), ('up', (128, 255, 128)), ('to camera', (128, 128, 255))])


def _order(channel_order: str) -> slice:
    """What turns RGB colours into the wanted order."""
    if channel_order not in ('bgr', 'rgb'):
        raise ValueError(f"channel_order must be 'bgr' or 'rgb', got {channel_order!r}")
    return slice(None, None, -1 if channel_order == 'bgr' else 1)


def _array(values, ndim: int, what: str) -> np.ndarray:
    values = values.detach().cpu().float().numpy() if isinstance(values, Tensor) and values.is_floating_point() else values
    values = np.asarray(values.cpu() if isinstance(values, Tensor) else values)
    while values.ndim > ndim and len(values) == 1:
        values = values[0]
    if values.ndim != ndim:
        raise ValueError(f'{what} must have {ndim} axes, got an array {values.shape}')
    return values


def _mask(mask, shape: tuple[int, int]) -> np.ndarray:
    if mask is None:
        return np.ones(shape, bool)
    mask = _array(mask, 2, 'a mask') > 0
    if mask.shape != shape:
        raise ValueError(f'the mask is {mask.shape[0]} x {mask.shape[1]} and the map {shape[0]} x {shape[1]} (H x W)')
    return mask


def draw_parts(image: np.ndarray, labels, palette: Sequence[Sequence[int]], opacity: float = 0.6,
               channel_order: str = 'bgr') -> np.ndarray:
    """Colour the parts of people over a picture.

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) class ids. Class 0, the background, keeps its picture; ignored pixels (255) become paler.
        palette: RGB of each class.
        opacity: Of the colours, 0 to 1.
        channel_order: Of ``image`` and the result, ``'bgr'`` as OpenCV reads, or ``'rgb'``.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ValueError: Sizes that differ.
    """
    labels = _array(labels, 2, 'a map of parts').astype(np.int64)
    if image.shape[:2] != labels.shape:
        raise ValueError(f'the picture is {image.shape[0]} x {image.shape[1]} and its labels {labels.shape[0]} x '
                         f'{labels.shape[1]} (H x W)')
    table = np.full((256, 3), 255, np.uint8)
    table[:len(palette)] = np.asarray(palette, np.uint8)[:, _order(channel_order)]
    blended = cv2.addWeighted(np.ascontiguousarray(image), 1 - opacity, table[labels.clip(0, 255)], opacity, 0)
    return np.where(labels[..., None] == 0, image, blended)


def draw_depth(depth, mask=None, limits: tuple[float, float] | None = None, colormap: int = cv2.COLORMAP_INFERNO,
               channel_order: str = 'bgr') -> np.ndarray:
    """Colour a depth map, near is bright, with a map whose brightness grows evenly (matplotlib's inferno).

    Args:
        depth: (H, W), larger is farther.
        mask: (H, W), above 0 where depth is drawn; the rest is grey, as are values that are not finite.
        limits: Depths of the brightest and the darkest colour; the range inside the mask by default, without the outermost
            hundredth on each side, because depth is relative.
        colormap: Of OpenCV.
        channel_order: ``'bgr'`` or ``'rgb'``.

    Returns:
        (H, W, 3) uint8.
    """
    order = _order(channel_order)
    depth = _array(depth, 2, 'a depth map').astype(np.float32)
    mask = _mask(mask, depth.shape) & np.isfinite(depth)
    out = np.full((*depth.shape, 3), NEUTRAL, np.uint8)
    if mask.any():
        near, far = np.percentile(depth[mask], (1, 99)) if limits is None else limits
        level = 1 - (np.where(mask, depth, near) - near) / max(far - near, 1e-12)
        colors = cv2.applyColorMap((level.clip(0, 1) * 255).round().astype(np.uint8), colormap)[..., ::-1]
        out[mask] = colors[mask][:, order]
    return out


def draw_normals(normals, mask=None, channel_order: str = 'bgr') -> np.ndarray:
    """The usual picture of normals: red, green and blue are (n + 1) / 2 of x right, y up and z towards the camera.

    Args:
        normals: (3, H, W); they are brought to length 1.
        mask: (H, W), above 0 where normals are drawn; the rest is grey, as are vectors without a direction.
        channel_order: ``'bgr'`` or ``'rgb'``.

    Returns:
        (H, W, 3) uint8.
    """
    order = _order(channel_order)
    normals = _array(normals, 3, 'a normal map').astype(np.float32)
    if len(normals) != 3:
        raise ValueError(f'a normal map must be (3, H, W), got {normals.shape}')
    length = np.linalg.norm(normals, axis=0)
    mask = _mask(mask, normals.shape[1:]) & np.isfinite(length) & (length > 1e-6)
    unit = np.where(mask, normals, 0) / np.where(mask, length, 1)
    return np.ascontiguousarray(((unit + 1) * 127.5).round().astype(np.uint8).transpose(1, 2, 0)[..., order])


def draw_legend(entries: Sequence[tuple[str, Sequence[int]]], height: int, channel_order: str = 'rgb',
                zoom: float = 1.) -> np.ndarray:
    """Names beside their colours, in as many columns as the height asks for.

    Args:
        entries: Name and RGB of each.
        height: Of the picture, in pixels.
        channel_order: ``'bgr'`` or ``'rgb'``.
        zoom: Of the letters; at 1 a line takes 16 pixels.

    Returns:
        (height, W, 3) uint8; W is 0 without entries.
    """
    order = _order(channel_order)

    def px(length: float) -> int:
        return round(length * zoom)

    rows = max(1, height // px(16))
    columns = []
    for start in range(0, len(entries), rows):
        part = entries[start:start + rows]
        width = px(28) + max(cv2.getTextSize(name, _FONT, 0.4 * zoom, max(1, int(zoom)))[0][0] for name, _ in part)
        column = np.full((height, width, 3), 255, np.uint8)
        for i, (name, color) in enumerate(part):
            top = px(16) * i
            cv2.rectangle(column, (px(6), top + px(3)), (px(16), top + px(13)), tuple(int(v) for v in color[order]), -1)
            _write(column, name, (px(21), top + px(12)), 0.4, zoom)
        columns.append(column)
    return np.concatenate(columns, axis=1) if columns else np.zeros((height, 0, 3), np.uint8)


def _write(picture: np.ndarray, text: str, at: tuple[int, int], size: float, zoom: float) -> None:
    cv2.putText(picture, text, at, _FONT, size * zoom, _BLACK, max(1, int(zoom)), cv2.LINE_AA)


def draw_panels(panels: Sequence[tuple[str, np.ndarray]], max_side: int = 1024, min_side: int = 320,
                legend: Sequence[tuple[str, Sequence[int]]] = ()) -> np.ndarray:
    """Titled pictures side by side, all of the first one's size.

    Args:
        panels: Title and picture (H, W, 3) RGB of each.
        max_side: A first picture with a longer side is made smaller.
        min_side: One whose longer side is shorter is made larger by a whole factor, so that titles can be read.
        legend: Name and RGB of each colour; see :func:`draw_legend`.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    height, width = panels[0][1].shape[:2]
    longest = max(height, width)
    factor = max_side / longest if longest > max_side else max(1, round(min_side / longest))
    size = max(1, round(width * factor)), max(1, round(height * factor))  # (W, H)
    zoom = max(1., max(size) / 512)  # letters are to be read where the whole is looked at
    top = round(20 * zoom)
    out = []
    for title, picture in panels:
        shrinks = size[0] < picture.shape[1]
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST)
        band = np.full((top, size[0], 3), 255, np.uint8)
        _write(band, title, (4, round(14 * zoom)), 0.45, zoom)
        out += [np.concatenate([band, picture]), np.full((size[1] + top, 4, 3), 255, np.uint8)]
    out = out[:-1]
    if legend:
        out.append(draw_legend(legend, size[1] + top, zoom=zoom))
    return np.concatenate(out, axis=1)


@VISUALIZERS.register_module()
class DenseVisualizer(SegLocalVisualizer):
    """mmseg's visualizer for parts, depth and normals: picture, ground truth, prediction side by side.

    Each is drawn where the data sample has it: ``gt_sem_seg``, ``gt_depth_map``, ``gt_normal_map`` and the same with ``pred_``.
    ``gt_mask`` bounds depth and normals; without it the ground truth's own valid pixels do.

    Args:
        name, image, vis_backends, save_dir, **kwargs: Of ``SegLocalVisualizer``.
        classes, palette: Names and RGB colours; those of the data set by default.
        alpha: Opacity of the parts' colours.
        max_side: Longest side of one of the pictures.
    """

    def __init__(self, name: str = 'visualizer', *args, classes: Sequence[str] | None = None,
                 palette: Sequence[Sequence[int]] | None = None, alpha: float = 0.6, max_side: int = 1024, **kwargs):
        super().__init__(name, *args, alpha=alpha, **kwargs)
        self.max_side = max_side
        # Their own defaults are those of street scenes.
        self.dataset_meta = dict(classes=classes, palette=palette)

    def draw(self, image: np.ndarray, data_sample=None, draw_gt: bool = True, draw_pred: bool = True,
             with_labels: bool = True) -> np.ndarray:
        """The picture of a sample.

        Args:
            image: (H, W, 3) uint8 RGB.
            data_sample: An mmseg ``SegDataSample``. Its maps may be of another size than the image.
            draw_gt: Draw the ground truth.
            draw_pred: Draw the prediction.
            with_labels: Add the legend: the parts that occur, what the colours of depth and normals mean.

        Returns:
            (h, w, 3) uint8 RGB.
        """
        panels, seen, meaning = [('image', image)], set(), []
        sides = (['gt'] if draw_gt else []) + (['pred'] if draw_pred else [])
        titles = dict(gt='ground truth', pred='prediction')

        def data(field: str) -> Tensor | None:
            return torch.as_tensor(data_sample.get(field).data).cpu() if data_sample is not None and field in data_sample else None

        for side in sides:
            labels = data(f'{side}_sem_seg')
            if labels is not None:
                labels = labels.reshape(labels.shape[-2:]).long()
                seen |= set(labels.unique().tolist())
                drawn = draw_parts(_fit(image, labels), labels, self._palette(), self.alpha, 'rgb')
                panels.append((f'parts, {titles[side]}', drawn))
        for what, axes, valid, draw in (('depth', 2, valid_depth, draw_depth), ('normal', 3, valid_normal, draw_normals)):
            truth, inside = data(f'gt_{what}_map'), data('gt_mask')
            if inside is None and truth is not None:
                inside = valid(truth.reshape(truth.shape[-axes:]))
            for side in sides:
                values = data(f'{side}_{what}_map')
                if values is not None:
                    meaning += [entry for entry in _MEANING[what] if entry not in meaning]
                    fits = inside is not None and inside.shape[-2:] == values.shape[-2:]
                    panels.append((f'{what}, {titles[side]}', draw(values, inside if fits else None, channel_order='rgb')))
        return draw_panels(panels, self.max_side, legend=self._legend(seen) + meaning if with_labels else ())

    def _palette(self) -> list:
        palette = self.dataset_meta.get('palette')
        if palette:
            return list(palette)[:IGNORE_INDEX]
        hues = np.arange(IGNORE_INDEX) * 47 % 180
        colors = cv2.cvtColor(np.stack([hues, 0 * hues + 200, 0 * hues + 230], 1)[None].astype(np.uint8), cv2.COLOR_HSV2RGB)
        return colors[0].tolist()

    def _legend(self, seen: set) -> list[tuple[str, Sequence[int]]]:
        classes, palette = self.dataset_meta.get('classes') or (), self._palette()
        return [(classes[i] if i < len(classes) else f'class {i}', palette[i]) for i in sorted(seen) if 0 < i < len(palette)]

    @master_only
    def add_datasample(self, name: str, image: np.ndarray, data_sample=None, draw_gt: bool = True, draw_pred: bool = True,
                       show: bool = False, wait_time: float = 0, out_file: str | None = None, step: int = 0,
                       with_labels: bool = True) -> None:
        """Draw a sample; show it, write it to ``out_file``, or hand it to the backends. See :meth:`draw` and mmseg.

        Args:
            name: Of the picture.
            step: Iteration, for the backends.
            show: Open a window for ``wait_time`` seconds; the backends then get nothing.
            out_file: Write the picture here instead of handing it to the backends.
        """
        drawn = self.draw(image, data_sample, draw_gt, draw_pred, with_labels)
        self.set_image(drawn)  # for get_image, which mmseg's inferencers ask
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is not None:
            import mmcv
            mmcv.imwrite(mmcv.rgb2bgr(drawn), out_file)
        elif not show:
            self.add_image(name, drawn, step)


def _fit(image: np.ndarray, labels: Tensor) -> np.ndarray:
    """The image at the size of its labels."""
    height, width = labels.shape
    return image if image.shape[:2] == (height, width) else cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
