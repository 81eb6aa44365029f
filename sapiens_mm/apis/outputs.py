"""Results on disk: every file appears under its name only when it is complete."""
from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from sapiens_mm.engine.atomic_file import atomic_path, remove_stale

if TYPE_CHECKING:
    from sapiens_mm.apis.inputs import Item


def write_json(path: str | os.PathLike, content) -> None:
    """Compact json."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(content, separators=(',', ':')) + '\n')


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """A picture, BGR or grey, uint8 or (PNG) uint16; the suffix says the format."""
    with atomic_path(path) as partial:
        encoded, content = cv2.imencode(partial.suffix, image)
        if not encoded:
            raise ValueError(f'{path}: OpenCV cannot write this format')
        partial.write_bytes(content)  # OpenCV's own writer is silent about a full disk


def encode_exr(array: np.ndarray, half: bool = False) -> bytes:
    """(H, W) (channel Y) or (H, W, 3) (channels R, G, B in this order) as an OpenEXR picture of float32 or half precision.

    Raises:
        ValueError: This OpenCV cannot.
    """
    # OpenCV asks once, at its first OpenEXR picture, whether it may.
    os.environ.setdefault('OPENCV_IO_ENABLE_OPENEXR', '1')
    bgr = np.ascontiguousarray(array[..., ::-1] if array.ndim == 3 else array, np.float32)
    kind = cv2.IMWRITE_EXR_TYPE_HALF if half else cv2.IMWRITE_EXR_TYPE_FLOAT
    try:
        return cv2.imencode('.exr', bgr, [cv2.IMWRITE_EXR_TYPE, kind])[1].tobytes()
    except cv2.error as error:
        raise ValueError('this OpenCV does not write OpenEXR pictures; set OPENCV_IO_ENABLE_OPENEXR=1 before Python starts, or '
                         'choose another format') from error


def write_exr(path: str | os.PathLike, array: np.ndarray, half: bool = False) -> None:
    """An OpenEXR picture; see :func:`encode_exr`."""
    with atomic_path(path) as partial:
        partial.write_bytes(encode_exr(array, half))


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

    @staticmethod
    def file(folder: str | os.PathLike) -> Path:
        """Where the note is."""
        return Path(folder) / 'run.json'

    def __init__(self, folder: str | os.PathLike, settings: dict, overwrite: bool = False):
        self.path = self.file(folder)
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


class Finished:
    """The pictures of a folder of results that are finished, so that a run that was interrupted goes on.

    One line per picture in ``finished.jsonl``, written after its results: their name, and what its file was then. Another picture
    of the same name, or one that has changed, is not finished.

    Args:
        folder, settings, overwrite: See :class:`RunNote`.

    Raises:
        ValueError: See there.
    """

    def __init__(self, folder: str | os.PathLike, settings: dict, overwrite: bool = False):
        self.path = Path(folder) / 'finished.jsonl'
        self._known: dict[str, list] = {}
        self._lock = threading.Lock()
        if overwrite or not RunNote.file(folder).is_file():  # before the note: a kill leaves nothing of an earlier run under it
            self.path.unlink(missing_ok=True)
        remove_stale(folder)
        if RunNote(folder, settings, overwrite).resumes and self.path.is_file():
            for line in self.path.read_bytes().splitlines():
                try:
                    name, stamp = json.loads(line)
                except ValueError:  # a kill has cut it short
                    continue
                self._known[name] = stamp

    def __contains__(self, item: Item) -> bool:
        return item.stamp is not None and self._known.get(item.name) == item.stamp

    def add(self, item: Item) -> None:
        """Note that a picture's results are on disk."""
        if item.stamp is not None:
            line = json.dumps([item.name, item.stamp], separators=(',', ':')).encode()
            with self._lock, open(self.path, 'ab') as file:
                file.write(b'\n' + line)  # first the end of a line that a kill has cut short
