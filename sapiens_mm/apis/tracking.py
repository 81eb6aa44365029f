"""People through a video: who is who, and keypoints that tremble less."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (N, 4) and (M, 4): (N, M)."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    shared = (high - low).clip(min=0).prod(-1)
    areas = [(boxes[:, 2:4] - boxes[:, :2]).prod(-1) for boxes in (a, b)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


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
        self.missed = 0

    def _alpha(self, cutoff):
        r = 2 * math.pi * cutoff * (1 + self.missed) / self.fps
        return r / (r + 1)

    def __call__(self, value: np.ndarray, size: float) -> np.ndarray:
        """The next value (K, 2); ``size`` is the person's in pixels. ``missed`` frames before it count as time."""
        if self.value is None:
            self.value = value.copy()
            return self.value.copy()
        speed = (value - self.value) * self.fps / (1 + self.missed)
        alpha = self._alpha(self.d_cutoff)
        self.speed = alpha * speed + (1 - alpha) * self.speed
        cutoff = self.min_cutoff + self.beta * np.linalg.norm(self.speed, axis=-1, keepdims=True) / max(size, 1.)
        alpha = self._alpha(cutoff)
        self.value = alpha * value + (1 - alpha) * self.value
        self.missed = 0
        return self.value.copy()


@dataclass
class _Track:
    number: int
    box: np.ndarray
    age: int = 0  # frames since it was last seen
    filter: OneEuroFilter | None = field(default=None, repr=False)


class Tracker:
    """Numbers people from frame to frame by the overlap of their keypoints' boxes, best total overlap first (Kuhn, 1955).

    Args:
        fps: Frames per second.
        min_iou: A person who overlaps a track less is a new one.
        max_age: Frames that a track lives unseen; one second by default.
        smooth: Also smooth keypoints.
    """

    def __init__(self, fps: float, min_iou: float = 0.2, max_age: int | None = None, smooth: bool = False):
        self.fps, self.min_iou, self.smooth = fps, min_iou, smooth
        self.max_age = round(fps) if max_age is None else max_age
        self.tracks: list[_Track] = []
        self.next_number = 1

    def __call__(self, people: Sequence[dict]) -> list[dict]:
        """The next frame's people (with ``bbox``, ``keypoints`` and ``keypoint_scores``): for each its ``track_id``, and
        ``keypoints_smoothed`` where asked. The people themselves stay as they are.
        """
        boxes = np.array([p['bbox'][:4] for p in people], np.float64).reshape(-1, 4)
        numbers: list[_Track | None] = [None] * len(people)
        for track in self.tracks:
            track.age += 1
        if self.tracks and len(people):
            overlap = box_iou(np.stack([t.box for t in self.tracks]), boxes)
            for i, j in zip(*linear_sum_assignment(-overlap)):
                if overlap[i, j] >= self.min_iou:
                    numbers[j] = self.tracks[i]
        out = []
        for person, box, track in zip(people, boxes, numbers):
            if track is None:
                track = _Track(self.next_number, box, filter=OneEuroFilter(self.fps))
                self.next_number += 1
                self.tracks.append(track)
            track.filter.missed = max(track.age - 1, 0)
            track.box, track.age = box, 0
            extra = dict(track_id=track.number)
            if self.smooth:
                size = float(np.linalg.norm(box[2:] - box[:2]))
                extra['keypoints_smoothed'] = track.filter(np.array(person['keypoints'], np.float64), size).round(3).tolist()
            out.append(extra)
        self.tracks = [t for t in self.tracks if t.age <= self.max_age]
        return out
