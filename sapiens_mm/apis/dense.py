"""Body parts, depth and surface normals of pictures and videos."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from sapiens_mm.apis.base import Prepared, SapiensBaseInferencer
from sapiens_mm.apis.boxes import Boxes, boxes_settings, make_detector
from sapiens_mm.apis.inputs import Item, Source
from sapiens_mm.apis.outputs import encode_exr, to_uint16, write_array, write_exr, write_image, write_json
from sapiens_mm.dense.visualizer import draw_depth, draw_normals, draw_parts
from sapiens_mm.seg.classes import VOCABULARIES

_PADDING = 1.25  # around a person's box, as pose has it


def person_regions(boxes: np.ndarray, height: int, width: int, aspect: float) -> list[tuple[int, int, int, int]]:
    """The cut-outs of people: boxes with some surroundings, brought to an aspect ratio and clipped to the picture.

    Args:
        boxes: (N, 5), in pixels.
        height, width: Of the picture.
        aspect: Width over height of the network's input.

    Returns:
        (x1, y1, x2, y2), integers; people with a higher score come later, because they are pasted last.
    """
    regions = []
    for x1, y1, x2, y2, _ in boxes[np.argsort(boxes[:, 4], kind='stable')].tolist():
        w, h = (x2 - x1) * _PADDING, (y2 - y1) * _PADDING
        w, h = max(w, h * aspect), max(h, w / aspect)
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        left, top = max(int(np.floor(x - w / 2)), 0), max(int(np.floor(y - h / 2)), 0)
        right, bottom = min(int(np.ceil(x + w / 2)), width), min(int(np.ceil(y + h / 2)), height)
        if right > left and bottom > top:
            regions.append((left, top, right, bottom))
    return regions


class DenseInferencer(SapiensBaseInferencer):
    """What parts, depth and normals share: a map of the original picture's size, of the whole picture or pasted from people.

    Args:
        model, weights, device, **kwargs: See :class:`sapiens_mm.apis.base.SapiensBaseInferencer`.
        detector, detector_weights, bbox_thr, nms_thr: As in :class:`sapiens_mm.apis.pose.PoseInferencer`. With a detector, or boxes
            in the call, each person is cut out and gets the network's full resolution; without, the whole picture goes
            through it at once.

    Calls take ``bboxes`` (see :class:`sapiens_mm.apis.boxes.Boxes`) and ``fmt``, the format of files.
    """

    default_scope = 'mmseg'
    field: str  # of the data sample
    outside: float  # value where no person was cut out
    formats: tuple[str, ...]
    call_options = frozenset({'bboxes'})
    write_options = frozenset({'fmt'})

    def __init__(self, model=None, weights=None, device=None, *, detector=None, detector_weights: str | None = None,
                 bbox_thr: float = 0.3, nms_thr: float = 0.3, **kwargs):
        super().__init__(model, weights, device, **kwargs)
        self.detector = make_detector(detector, detector_weights, str(self.device), bbox_thr, nms_thr)
        self._boxes_from = detector, detector_weights, bbox_thr, nms_thr

    def _init_model(self, cfg, weights, device='cpu'):
        from sapiens_mm.engine.model_cards import config_facts
        task = config_facts(cfg)['task']
        if task != self.task:
            raise ValueError(f'{self.config_name} is a config for {task}, and {type(self).__name__} is for {self.task}')
        return super()._init_model(cfg, weights, device)

    def _init_pipeline(self, cfg):
        """The config's own test pipeline without reading: pictures are read before it."""
        init_default_scope(cfg.get('default_scope', self.default_scope))
        steps = [s for s in cfg.test_dataloader.dataset.pipeline if not s['type'].rpartition('.')[2].startswith('Load')]
        height, width = cfg.model.backbone.img_size
        self.aspect = width / height
        return Compose(steps)

    def _prepare_options(self, source: Source, kwargs: dict) -> dict:
        if kwargs.get('fmt', self.formats[0]) not in self.formats:
            raise ValueError(f'fmt must be one of {", ".join(self.formats)}, got {kwargs["fmt"]!r}')
        if kwargs.get('fmt', '').startswith('exr'):
            encode_exr(np.zeros((1, 1), np.float32))  # an OpenCV that cannot costs no time
        boxes = Boxes(kwargs.get('bboxes'), self.detector)
        boxes.check(source.length)
        return dict(boxes=boxes)

    def call_settings(self, kwargs: dict) -> dict:
        """Where the boxes come from."""
        return boxes_settings(kwargs.get('bboxes'), *self._boxes_from)

    def prepare(self, item: Item, image: np.ndarray, boxes: Boxes) -> Prepared:
        """One sample for the whole picture, or one for each person."""
        height, width = image.shape[:2]
        regions = None if boxes.whole else person_regions(boxes(item, image), height, width, self.aspect)
        samples = []
        for x1, y1, x2, y2 in [(0, 0, width, height)] if regions is None else regions:
            crop = image[y1:y2, x1:x2]
            samples.append(self.pipeline(dict(img=crop, img_path=item.path or item.name, img_shape=crop.shape[:2],
                                              ori_shape=crop.shape[:2], seg_fields=[], reduce_zero_label=False)))
        return Prepared(item, image, samples, dict(regions=regions))

    def finish(self, prepared: Prepared) -> SegDataSample:
        """The map of the whole picture, on the CPU."""
        height, width = prepared.image.shape[:2]
        regions, maps = prepared.context['regions'], [r.get(self.field).data.cpu() for r in prepared.results]
        sample = SegDataSample(metainfo=dict(img_path=prepared.item.path or prepared.item.name, ori_shape=(height, width)))
        if regions is None:
            data = maps[0]
        else:
            data = torch.full((self.channels, height, width), self.outside, dtype=self.dtype)
            for (x1, y1, x2, y2), patch in zip(regions, maps):
                self.paste(data[:, y1:y2, x1:x2], patch)
        sample.set_data({self.field: PixelData(data=data)})
        return sample

    channels, dtype = 1, torch.float32

    def paste(self, canvas: torch.Tensor, patch: torch.Tensor) -> None:
        """Lay a person's map (C, h, w) over what is there, in place."""
        canvas.copy_(patch)

    def array(self, prediction: SegDataSample) -> np.ndarray:
        """(H, W) or (H, W, 3)."""
        data = prediction.get(self.field).data.numpy()
        return data[0] if len(data) == 1 else np.ascontiguousarray(data.transpose(1, 2, 0))

    def to_dict(self, prediction, item: Item, image: np.ndarray) -> dict:
        """The map as an array."""
        height, width = image.shape[:2]
        return {'image': item.path or item.name, 'width': width, 'height': height, self.task: self.array(prediction)}

    def done_file(self, folder: Path, name: str, fmt: str | None = None) -> Path:
        """``NAME`` with the suffix of the format."""
        return folder / f'{name}.{(fmt or self.formats[0]).replace("16", "")}'

    def write(self, folder: Path, name: str, prediction, item: Item, image: np.ndarray, fmt: str | None = None) -> None:
        """The map in the format that was asked for."""
        write_array(self.done_file(folder, name, fmt), self.array(prediction))


class PartsInferencer(DenseInferencer):
    """Body parts or face parts: ``pred_sem_seg`` (1, H, W) uint8 labels of the original picture's size; as a dict ``parts`` (H, W).

    Files are index PNGs (``fmt='png'``), whose grey values are the class ids; ``run.json`` beside them has their names.
    ``opacity`` is that of the overlay's colours. Further arguments: :class:`DenseInferencer`.
    """

    task, field, outside, formats = 'parts', 'pred_sem_seg', 0, ('png', )
    dtype = torch.uint8
    draw_options = frozenset({'opacity'})

    def _adapt(self, cfg) -> None:
        if self._flip_test:
            raise ValueError('flip_test is for pose, depth and normals; labels of parts are not averaged')

    def _init_pipeline(self, cfg):
        name = cfg.test_dataloader.dataset.get('vocabulary')
        self.num_classes = cfg.model.decode_head.num_classes
        fitting = [v for k, v in VOCABULARIES.items() if (k == name or name is None) and v.num_classes == self.num_classes]
        if not fitting:
            raise ValueError(f'{self.config_name} does not say what its {self.num_classes} classes are: vocabulary of the test '
                             f'data set, one of {", ".join(VOCABULARIES)}')
        self.vocabulary = fitting[0]
        return super()._init_pipeline(cfg)

    def settings(self, options: dict) -> dict:
        """Also the classes' names."""
        return super().settings(dict(options, classes=list(self.vocabulary.classes)))

    def paste(self, canvas: torch.Tensor, patch: torch.Tensor) -> None:
        """A person's parts; the background in a cut-out hides nobody."""
        torch.where(patch > 0, patch.to(canvas.dtype), canvas, out=canvas)

    def array(self, prediction: SegDataSample) -> np.ndarray:
        """(H, W) uint8."""
        return super().array(prediction).astype(np.uint8)

    def foreground(self, prediction: SegDataSample) -> np.ndarray:
        """(H, W) bool: any class but the background."""
        return self.array(prediction) > 0

    def draw(self, image: np.ndarray, prediction, opacity: float = 0.6) -> np.ndarray:
        """The picture with coloured parts."""
        return draw_parts(image, self.array(prediction), self.vocabulary.palette, opacity)

    def write(self, folder: Path, name: str, prediction, item: Item, image: np.ndarray, fmt: str | None = None) -> None:
        """``NAME.png``."""
        write_image(self.done_file(folder, name), self.array(prediction))


class MapInferencer(DenseInferencer):
    """What depth and normals share: maps of numbers, from which the background can be taken.

    Calls also take ``masks``: a folder with a PNG of every picture's (or frame's) name, 0 in the background, such as the files of
    :class:`PartsInferencer`; or a function (:class:`sapiens_mm.apis.inputs.Item`) -> (H, W).
    """

    call_options = frozenset({'bboxes', 'masks'})

    def _prepare_options(self, source: Source, kwargs: dict) -> dict:
        masks = kwargs.get('masks')
        if masks is not None and not callable(masks) and not Path(masks).is_dir():
            raise FileNotFoundError(f'there is no folder of masks {masks}')
        return dict(super()._prepare_options(source, kwargs), masks=masks)

    def call_settings(self, kwargs: dict) -> dict:
        """Where boxes and masks come from."""
        masks = kwargs.get('masks')
        named = {} if masks is None else dict(masks='given' if callable(masks) else str(masks))
        return dict(super().call_settings(kwargs), **named)

    def prepare(self, item: Item, image: np.ndarray, boxes: Boxes, masks=None) -> Prepared:
        """Also the picture's mask."""
        prepared = super().prepare(item, image, boxes)
        if masks is not None:
            prepared.context['mask'] = self._mask(item, masks, image.shape[:2])
        return prepared

    @staticmethod
    def _mask(item: Item, masks, size: tuple[int, int]) -> np.ndarray:
        if callable(masks):
            mask, name = np.asarray(masks(item)), f'the mask of {item.name}'
        else:
            name = Path(masks, f'{item.name}.png')
            content = name.read_bytes() if name.is_file() else b''
            mask = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
            if mask is None:
                raise ValueError(f'{item.path or item.name}: there is no mask {name}, or it cannot be decoded')
        mask = mask if mask.ndim == 2 else mask.max(2)
        if mask.shape != size:
            raise ValueError(f'{name} is {mask.shape[0]} x {mask.shape[1]} pixels (H x W), its picture {size[0]} x {size[1]}')
        return mask > 0

    def finish(self, prepared: Prepared) -> SegDataSample:
        """The map of the whole picture, masked where that was asked for."""
        sample = super().finish(prepared)
        return sample if 'mask' not in prepared.context else self.masked(sample, prepared.context['mask'])

    def masked(self, prediction: SegDataSample, foreground: np.ndarray) -> SegDataSample:
        """Set what is not ``foreground`` (H, W) to the value of the background, in place."""
        data = prediction.get(self.field).data
        data[:, torch.from_numpy(~np.asarray(foreground, bool))] = self.outside
        return prediction

    def write(self, folder: Path, name: str, prediction, item: Item, image: np.ndarray, fmt: str | None = None) -> None:
        """The map as array or OpenEXR picture."""
        if fmt in ('exr', 'exr16'):
            write_exr(self.done_file(folder, name, fmt), self.array(prediction), half=fmt == 'exr16')
        else:
            super().write(folder, name, prediction, item, image, fmt)


class DepthInferencer(MapInferencer):
    """Relative depth: ``pred_depth_map`` (1, H, W), larger is farther; as a dict ``depth`` (H, W) float32. NaN where it is masked.

    ``fmt``: ``'npy'`` (float32), ``'npz'`` (compressed, entry ``data``), ``'exr'`` (float32, channel Y), ``'exr16'`` (half
    precision) or ``'png16'`` (16 bits over the picture's own range, which ``NAME.json`` has). Further arguments:
    :class:`DenseInferencer`, :class:`MapInferencer`.
    """

    task, field, outside, formats = 'depth', 'pred_depth_map', float('nan'), ('npy', 'npz', 'exr', 'exr16', 'png16')

    def draw(self, image: np.ndarray, prediction) -> np.ndarray:
        """The map alone; near is bright."""
        return draw_depth(self.array(prediction))

    def write(self, folder: Path, name: str, prediction, item: Item, image: np.ndarray, fmt: str | None = None) -> None:
        """The map in the format that was asked for."""
        if fmt != 'png16':
            return super().write(folder, name, prediction, item, image, fmt)
        values, low, high = to_uint16(self.array(prediction))
        write_json(folder / f'{name}.json', dict(low=low, high=high, masked=bool(np.isnan(self.array(prediction)).any())))
        write_image(self.done_file(folder, name, fmt), values)


class NormalInferencer(MapInferencer):
    """Surface normals: ``pred_normal_map`` (3, H, W), unit vectors, x right, y up, z towards the camera; as a dict ``normal``
    (H, W, 3) float32. Zero where it is masked.

    ``fmt``: ``'npy'``, ``'npz'``, ``'exr'`` and ``'exr16'`` (x, y, z in R, G, B), or ``'png'``, the usual picture
    (n + 1) / 2. Further arguments: :class:`DenseInferencer`, :class:`MapInferencer`.
    """

    task, field, outside, formats = 'normal', 'pred_normal_map', 0., ('npy', 'npz', 'exr', 'exr16', 'png')
    channels = 3

    def draw(self, image: np.ndarray, prediction) -> np.ndarray:
        """The map alone in its usual colours."""
        return draw_normals(prediction.get(self.field).data.numpy())

    def write(self, folder: Path, name: str, prediction, item: Item, image: np.ndarray, fmt: str | None = None) -> None:
        """The map in the format that was asked for."""
        if fmt != 'png':
            return super().write(folder, name, prediction, item, image, fmt)
        values = ((self.array(prediction) + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
        write_image(self.done_file(folder, name, fmt), cv2.cvtColor(values, cv2.COLOR_RGB2BGR))
