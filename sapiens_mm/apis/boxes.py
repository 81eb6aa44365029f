"""Where the people of a picture are: told, read from a file, found by a detector, or the whole picture."""
from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sapiens_mm.apis.inputs import Item
from sapiens_mm.engine.checkpoint import hand_to_mmengine


def as_boxes(boxes, what: str = 'boxes') -> np.ndarray:
    """(N, 5) float32: x1, y1, x2, y2 in pixels of the picture and a score, which is 1 where none is given.

    Raises:
        ValueError: Other than 4 or 5 numbers each, not-a-number, or a box without area.
    """
    array = np.asarray(boxes, dtype=np.float32)
    array = array.reshape(-1, array.shape[-1] if array.size else 4)
    if array.shape[1] not in (4, 5) or not np.isfinite(array).all():
        raise ValueError(f'{what}: x1, y1, x2, y2 and perhaps a score are expected for each person, got an array {array.shape}')
    if (array[:, 2:4] <= array[:, :2]).any():
        raise ValueError(f'{what}: a box has no area; the order is x1, y1, x2, y2, not width and height')
    if array.shape[1] == 4:
        array = np.concatenate([array, np.ones((len(array), 1), np.float32)], 1)
    return array


def read_boxes(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Boxes of many pictures from a json file.

    Args:
        path: ``{"picture.jpg": [[x1, y1, x2, y2, score], ...], ...}`` (for a video the key is the frame's number), or a COCO
            annotation file with ``images`` and ``annotations`` (boxes as x, y, width, height).

    Returns:
        File name as the file has it -> (N, 5).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no file of boxes {path}')
    try:
        content = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f'{path} is not valid json: {error}') from error
    if not isinstance(content, Mapping):
        raise ValueError(f'{path}: a json object is expected, file name -> boxes, or a COCO annotation file')
    if 'images' in content and 'annotations' in content:
        names = {image['id']: image['file_name'] for image in content['images']}
        found: dict[str, list] = {name: [] for name in names.values()}
        for ann in content['annotations']:
            if not ann.get('iscrowd') and ann.get('category_id', 1) == 1:
                x, y, w, h = ann['bbox'][:4]
                found[names[ann['image_id']]].append([x, y, x + w, y + h, ann.get('score', 1.)])
        content = found
    return {name: as_boxes(boxes, f'{path}, {name}') for name, boxes in content.items()}


class PersonDetector:
    """People in a picture by an mmdet model, such as RTMDet.

    Args:
        config: mmdet config. The one-class person detector that goes with the release is ``rtmdet_m_640-8xb32_coco-person.py`` of
            mmpose, the default.
        weights: Path, URL or ``hf://`` address of its checkpoint.
        device: Where it runs.
        score_thr: Boxes with a lower score are dropped.
        nms_thr: Boxes that overlap a better one by more (intersection over union) are dropped.
        category: Class id of people.
    """

    def __init__(self, config: str | None = None, weights: str | None = None, device: str = 'cpu', score_thr: float = 0.3,
                 nms_thr: float = 0.3, category: int = 0):
        from mmdet.apis import init_detector
        if weights is None:
            raise ValueError('a person detector needs weights: detector_weights=PATH, URL or hf://owner/repo/file; without a '
                             'detector the boxes come from bboxes=..., or the whole picture counts as one person')
        self.model = init_detector(config or _default_config(), hand_to_mmengine(weights), device=device)
        self.score_thr, self.nms_thr, self.category = score_thr, nms_thr, category
        self._lock = threading.Lock()

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) BGR uint8 to (N, 5) boxes, the best first."""
        from mmdet.apis import inference_detector
        from mmpose.evaluation.functional import nms
        with self._lock:  # readers of pictures share the model
            found = inference_detector(self.model, image).pred_instances.cpu().numpy()
        keep = (found.labels == self.category) & (found.scores > self.score_thr)
        boxes = np.concatenate([found.bboxes, found.scores[:, None]], 1)[keep].astype(np.float32)
        boxes = boxes[(boxes[:, 2:4] > boxes[:, :2]).all(1)]
        return boxes[nms(boxes, self.nms_thr)] if len(boxes) else boxes.reshape(0, 5)


def _default_config() -> str:
    import mmpose
    home = Path(mmpose.__file__).parent
    name = 'demo/mmdetection_cfg/rtmdet_m_640-8xb32_coco-person.py'
    for folder in (home / '.mim', home.parent):
        if (folder / name).is_file():
            return str(folder / name)
    raise FileNotFoundError('mmpose is installed without its detector configs; give detector=CONFIG')


def make_detector(detector, weights: str | None, device: str, bbox_thr: float, nms_thr: float):
    """The detector that an inferencer was given: ready, as a config, as weights alone, or None."""
    if callable(detector):
        return detector
    if detector is None and weights is None:
        return None
    return PersonDetector(detector, weights, device, bbox_thr, nms_thr)


def boxes_settings(given, detector, weights: str | None, bbox_thr: float, nms_thr: float) -> dict:
    """What tells results with these boxes from results with others; arguments as of an inferencer and its call."""
    if isinstance(given, (str, os.PathLike)) and os.path.isfile(given):
        stat = os.stat(given)
        given = [os.fspath(given), stat.st_size, stat.st_mtime_ns]
    elif given is not None and not isinstance(given, (str, os.PathLike)):
        plain = json.dumps(given, default=lambda v: v.tolist() if hasattr(v, 'tolist') else str(v))
        given = f'given, {hashlib.sha256(plain.encode()).hexdigest()[:16]}'
    found = None
    if given is None and (detector is not None or weights is not None):
        found = dict(detector=getattr(detector, '__name__', type(detector).__name__) if callable(detector) else detector,
                     weights=weights, bbox_thr=bbox_thr, nms_thr=nms_thr)
    return dict(bboxes=given, detector=found)


class Boxes:
    """Boxes of any picture, from what the user gave.

    Args:
        given: An array (N, 4 or 5) for a single picture; a list with one array per picture; a dict or a json file, see
            :func:`read_boxes`; None.
        detector: Asked where ``given`` is None.
    """

    def __init__(self, given=None, detector: PersonDetector | None = None):
        self.detector = detector
        self.by_name = self.by_index = self.only = None
        if isinstance(given, (str, os.PathLike)):
            self.by_name = read_boxes(given)
        elif isinstance(given, Mapping):
            self.by_name = {str(name): as_boxes(boxes, str(name)) for name, boxes in given.items()}
        elif isinstance(given, np.ndarray) and given.ndim <= 2 and given.dtype != object:
            self.only = as_boxes(given)
        elif given is not None:
            given = list(given)
            flat = bool(given) and np.ndim(given[0]) == 1 and len(given[0]) in (4, 5) and np.isscalar(given[0][0])
            if flat:
                self.only = as_boxes(given)
            else:
                self.by_index = [as_boxes(boxes, f'boxes of picture {i}') for i, boxes in enumerate(given)]

    @property
    def whole(self) -> bool:
        """Whether nobody says anything, so that the whole picture counts."""
        return self.detector is None and self.by_name is None and self.by_index is None and self.only is None

    def check(self, length: int | None) -> None:
        """Refuse a number of boxes' lists that is not the number of pictures."""
        if self.by_index is not None and length is not None and len(self.by_index) != length:
            raise ValueError(f'there are boxes for {len(self.by_index)} pictures, but {length} pictures')
        if self.only is not None and length != 1:
            raise ValueError('one array of boxes belongs to one picture; give a list, a dict or a file for several')

    def __call__(self, item: Item, image: np.ndarray) -> np.ndarray:
        """(N, 5) of a picture; the whole picture where nobody says anything.

        Raises:
            ValueError: The file of boxes does not know the picture.
        """
        if self.only is not None:
            return self.only
        if self.by_index is not None:
            return self.by_index[item.index]
        if self.by_name is not None:
            return self._named(item)
        if self.detector is not None:
            return self.detector(image)
        height, width = image.shape[:2]
        return np.array([[0, 0, width, height, 1]], np.float32)

    def _named(self, item: Item) -> np.ndarray:
        names = [item.name, str(item.index)] if item.path is None else [
            item.path, item.path.replace(os.sep, '/'), item.name + Path(item.path).suffix, os.path.basename(item.path), item.name]
        for name in names:
            if name in self.by_name:
                return self.by_name[name]
        if item.path is None:
            return np.zeros((0, 5), np.float32)  # a frame without people
        raise ValueError(f'there are no boxes for {item.path}; give an empty list if nobody is in it')
