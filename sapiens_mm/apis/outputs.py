"""Results on disk: every file appears under its name only when it is complete."""
from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np

from sapiens_mm.engine.atomic_file import atomic_path


def write_json(path: str | os.PathLike, content) -> None:
    """Compact json."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(content, separators=(',', ':')) + '\n')


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """A picture, BGR or grey, uint8 or (PNG) uint16; the suffix says the format."""
    with atomic_path(path) as partial:
        if not cv2.imwrite(str(partial), image):
            raise ValueError(f'{path}: OpenCV cannot write this format')


def write_array(path: str | os.PathLike, array: np.ndarray) -> None:
    """``.npy``, or a compressed ``.npz`` with the one entry ``data``."""
    with atomic_path(path) as partial:
        if Path(path).suffix == '.npz':
            np.savez_compressed(partial, data=array)
        else:
            np.save(partial, array)


def to_uint16(values: np.ndarray) -> tuple[np.ndarray, float, float]:
    """A float map as 16 bits: (image, low, high) with value = low + image / 65535 * (high - low). Not-a-number becomes 0."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0., 0.)
    scaled = (np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-12)
    return (scaled.clip(0, 1) * 65535).round().astype(np.uint16), low, high


class RunNote:
    """What a folder of results was made with, so that two runs do not mix in it.

    Args:
        folder: The folder of results.
        settings: Everything that changes a result.
        overwrite: Start again whatever is there.

    Raises:
        ValueError: The folder has results of other settings.
    """

    _NAME = 'run.json'

    def __init__(self, folder: str | os.PathLike, settings: dict, overwrite: bool = False):
        self.path = Path(folder) / self._NAME
        settings = json.loads(json.dumps(settings, default=str))
        before = None
        if self.path.is_file():
            try:
                before = json.loads(self.path.read_text())
            except json.JSONDecodeError:
                before = {}
        self.resumes = before == settings and not overwrite
        if before is not None and before != settings and not overwrite:
            changed = sorted(k for k in {*before, *settings} if before.get(k) != settings.get(k))
            raise ValueError(f'{folder} holds results of another run ({", ".join(changed) or "its note"} changed); give another '
                             'out_dir, or overwrite=True (--overwrite) to make them again')
        write_json(self.path, settings)
