"""Reading maps of numbers from files: NumPy arrays and OpenEXR pictures."""
from __future__ import annotations

import io
import os
import zipfile

import cv2
import numpy as np
from mmengine import fileio

from sapiens_mm.dense.transforms import BadLabel

SUFFIXES = ('.npy', '.npz', '.exr')
_HALF_MAX = 65504.  # the largest half-precision number, which renderers write where there is nothing


def read_map(path: str, name: str, backend_args: dict | None = None) -> np.ndarray:
    """Read a map of any real type.

    Args:
        path: A ``.npy`` file, a ``.npz`` file with one array or one called ``name``, or a ``.exr`` picture, whose channels come
            in the order in which OpenCV reads them.
        name: What the map is: ``'depth'``, ``'normal'``.
        backend_args: Of mmengine's ``fileio``.

    Returns:
        float32, of the file's shape; not-a-number where an OpenEXR picture has nothing.

    Raises:
        FileNotFoundError: There is no file.
        BadLabel: It cannot be read.
    """
    try:
        content = fileio.get(path, backend_args=backend_args)
    except FileNotFoundError as e:
        raise FileNotFoundError(f'there is no {name} map {path}; check data_root and data_prefix of the data set') from e
    if path.lower().endswith('.exr'):
        return _decode_exr(content)
    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            keys = loaded.files
            key = keys[0] if len(keys) == 1 else name
            if key not in keys:
                raise BadLabel(f'holds the arrays {", ".join(keys)}; one is expected, or one called {name!r}')
            loaded = loaded[key]
        return np.asarray(loaded).astype(np.float32)
    except (EOFError, OSError, TypeError, ValueError, zipfile.BadZipFile) as e:
        raise BadLabel(f'cannot be read as an array of numbers ({type(e).__name__})') from e


def _decode_exr(content: bytes) -> np.ndarray:
    # OpenCV asks once, at its first OpenEXR picture, whether it may.
    os.environ.setdefault('OPENCV_IO_ENABLE_OPENEXR', '1')
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as e:
        raise BadLabel('cannot be decoded as an OpenEXR picture; if it is whole, set OPENCV_IO_ENABLE_OPENEXR=1 before '
                       'Python starts') from e
    if decoded is None:
        raise BadLabel('cannot be decoded as an OpenEXR picture')
    decoded = decoded.astype(np.float32)
    decoded[decoded >= _HALF_MAX] = np.nan
    return decoded
