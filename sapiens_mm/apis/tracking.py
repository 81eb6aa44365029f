"""People through a video: who is who, and keypoints that tremble less."""
from __future__ import annotations

import math
from importlib.util import find_spec

import cv2
import numpy as np

CERTAIN = 0.5  # score of a box that starts a track; lower ones only go on with one


class OneEuroFilter:
    """The one-euro filter (Casiez et al., CHI 2012): smooth where it is slow, quick where it is fast.

    Args:
        fps: Frames per second.
        min_cutoff: Hz; lower trembles less and lags more at rest.
        beta: Hz per speed; higher lags less in motion. Speeds are per second, in the person's own size.
        d_cutoff: Hz of the speed's own filter.
    """

    def __init__(self, fps: float, min_cutoff: float = 1.0, beta: float = 2.0, d_cutoff: float = 1.0):
        self.fps, self.min_cutoff, self.beta, self.d_cutoff = fps, min_cutoff, beta, d_cutoff
        self.value: np.ndarray | None = None
        self.speed = 0.

    @staticmethod
    def _alpha(cutoff, seconds: float):
        r = 2 * math.pi * cutoff * seconds
        return r / (r + 1)

    def __call__(self, value: np.ndarray, size: float, frames: int = 1) -> np.ndarray:
        """The next value (K, 2), ``frames`` after the one before; ``size`` is the person's in pixels."""
        if self.value is None:
            self.value = value.copy()
            return self.value.copy()
        seconds = frames / self.fps
        alpha = self._alpha(self.d_cutoff, seconds)
        self.speed = alpha * (value - self.value) / seconds + (1 - alpha) * self.speed
        cutoff = self.min_cutoff + self.beta * np.linalg.norm(self.speed, axis=-1, keepdims=True) / max(size, 1.)
        alpha = self._alpha(cutoff, seconds)
        self.value = alpha * value + (1 - alpha) * self.value
        return self.value.copy()


class Tracker:
    """Numbers people from frame to frame by their boxes: ByteTrack (Zhang et al., ECCV 2022), mmdet's implementation.

    Args:
        fps: Frames per second. A person may be out of sight for one second.
        smooth: Also smooth keypoints.

    Raises:
        ValueError: The package that mmdet's tracker solves assignments with is missing.
    """

    def __init__(self, fps: float, smooth: bool = False):
        if find_spec('lap') is None:
            raise ValueError('tracks and smoothing need: pip install lap')
        from mmdet.models.task_modules.tracking import KalmanFilter
        from mmdet.models.trackers import ByteTracker
        self.fps, self.smooth, self.frame = fps, smooth, -1
        self.tracker = ByteTracker(obj_score_thrs=dict(high=CERTAIN, low=0.1), init_track_thr=CERTAIN,
                                   num_frames_retain=round(fps) + 1)
        self.tracker.motion = KalmanFilter()
        self.filters: dict[int, tuple[OneEuroFilter, int]] = {}  # with the frame of the last value

    def __call__(self, boxes: np.ndarray, scores: np.ndarray, keypoints: np.ndarray) -> tuple[list[int | None], np.ndarray]:
        """The next frame.

        Args:
            boxes: (N, 4), x1, y1, x2, y2 in pixels.
            scores: (N,), of the boxes.
            keypoints: (N, K, 2).

        Returns:
            Each person's number, from 1, or None where the box is too uncertain to start a track; and the keypoints, smoothed where
            that was asked for.
        """
        self.frame += 1
        numbers = self._numbers(boxes, scores)
        smoothed = np.array(keypoints, np.float64)
        if self.smooth:
            self.filters = {n: f for n, f in self.filters.items() if n - 1 in self.tracker.tracks}
            for i, number in enumerate(numbers):
                if number is not None:
                    one_euro, last = self.filters.get(number) or (OneEuroFilter(self.fps), self.frame)
                    size = float(np.linalg.norm(boxes[i, 2:] - boxes[i, :2]))
                    smoothed[i] = one_euro(smoothed[i], size, max(self.frame - last, 1))
                    self.filters[number] = one_euro, self.frame
        return numbers, smoothed

    def _numbers(self, boxes: np.ndarray, scores: np.ndarray) -> list[int | None]:
        import torch
        from mmdet.structures import DetDataSample
        from mmengine.structures import InstanceData
        boxes = torch.as_tensor(np.asarray(boxes, np.float32).reshape(-1, 4))
        scores = torch.as_tensor(np.asarray(scores, np.float32).reshape(-1))
        sample = DetDataSample(metainfo=dict(frame_id=self.frame))
        sample.pred_instances = InstanceData(bboxes=boxes, scores=scores, labels=torch.zeros(len(boxes), dtype=torch.long))
        found = self.tracker.track(sample)
        for track in self.tracker.tracks.values():  # it would keep all boxes of a track, but looks at the last ones only
            for values in track.values():
                if isinstance(values, list):
                    del values[:-self.tracker.num_tentatives]
        numbers: list[int | None] = [None] * len(boxes)
        for box, number in zip(found.bboxes, found.instances_id.tolist()):  # in another order, and without the uncertain ones
            same = (boxes == box).all(1).tolist()
            numbers[next(i for i, equal in enumerate(same) if equal and numbers[i] is None)] = number + 1
        return numbers


def draw_numbers(image: np.ndarray, boxes: np.ndarray, numbers: list[int | None]) -> np.ndarray:
    """Write each person's number at the upper left corner of the box, in place."""
    scale = max(min(image.shape[:2]) / 720, 0.4)
    thickness = max(round(2 * scale), 1)
    for (x, y), number in zip(np.asarray(boxes)[:, :2].round().astype(int).tolist(), numbers):
        if number is not None:
            (width, height), _ = cv2.getTextSize(str(number), cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
            corner = min(max(x, 0), image.shape[1] - width), min(max(y, height + thickness), image.shape[0] - thickness)
            for color, extra in (((0, 0, 0), 2 * thickness), ((255, 255, 255), 0)):
                cv2.putText(image, str(number), corner, cv2.FONT_HERSHEY_SIMPLEX, scale, color, thickness + extra, cv2.LINE_AA)
    return image
