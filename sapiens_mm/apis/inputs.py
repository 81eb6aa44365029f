"""Pictures from wherever they are: files, folders, patterns, lists, arrays, videos, cameras."""
from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from mmengine import fileio

from sapiens_mm.engine.bad_samples import is_cut_off

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.gif', '.jfif', '.ppm', '.pgm')
VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.mts', '.wmv')


def _with_pillow(content: bytes) -> np.ndarray | None:
    """Formats that OpenCV does not read, as (H, W, 3) BGR uint8; None where Pillow does not either."""
    from PIL import Image, ImageOps
    try:
        with Image.open(BytesIO(content)) as image:
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith(('I', 'F')):
                values = np.asarray(image, dtype=np.float64)
                scale = 255 / 65535 if image.mode.startswith('I') else 255.
                return cv2.cvtColor((values * scale).clip(0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)
            return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def read_image(source: str | os.PathLike | np.ndarray) -> np.ndarray:
    """A picture as (H, W, 3) BGR uint8, turned upright by its EXIF orientation.

    Files are decoded as the data sets of the libraries decode them: grey becomes three equal channels, 16 bits lose the lower 8,
    alpha is dropped, CMYK is converted. What OpenCV cannot read, Pillow reads.

    Args:
        source: Path or URL; or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), **BGR**, uint8 or uint16.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no picture, it is cut short, or an array of another kind.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    path = os.fspath(source)
    try:
        content = fileio.get(path)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise FileNotFoundError(f'there is no image {path}') from error
    if content and not is_cut_off(content):
        try:
            image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:  # a header that declares more pixels than OpenCV takes
            image = None
        image = _with_pillow(content) if image is None else image
        if image is not None:
            return image
    raise ValueError(f'{path} cannot be decoded as an image: it is none, it is cut short, or it is too large')


def _from_array(array: np.ndarray) -> np.ndarray:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or 0 in array.shape:
        raise ValueError(f'an array of a picture is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) in BGR order, got {array.shape}')
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.dtype != np.uint8:
        raise ValueError(f'an array of a picture has uint8 values from 0 to 255 (or uint16), got {array.dtype}; multiply by 255 '
                         'and convert')
    if array.ndim == 2 or array.shape[2] == 1:
        return cv2.cvtColor(np.ascontiguousarray(array), cv2.COLOR_GRAY2BGR)
    return np.ascontiguousarray(array[..., :3])


@dataclass
class Item:
    """One picture or frame that can be read.

    Attributes:
        name: What its results are called: for a file its path below the folder that was given, without suffix; for an array or a
            frame its number.
        load: Reads it, see :func:`read_image`.
        path: Its file, None for arrays and frames.
        index: Its number among all.
    """

    name: str
    load: Callable[[], np.ndarray]
    path: str | None = None
    index: int = 0

    @cached_property
    def stamp(self) -> list | None:
        """Size and time of the file, by which it is known again; None for arrays and frames, which never are."""
        if self.path is None:
            return None
        if not os.path.isfile(self.path):
            return [self.path]
        stat = os.stat(self.path)
        return [stat.st_size, stat.st_mtime_ns]


@dataclass
class Source:
    """Pictures or frames in order.

    Attributes:
        kind: ``'images'``, ``'video'`` or ``'camera'``.
        items: Iterable once; frames are read as it is iterated.
        length: How many there are, None where that is not known before.
        path: The video's file, or what the camera is called.
        fps, size: Frames per second and (width, height) of a video.
    """

    kind: str
    items: Iterable[Item]
    length: int | None
    path: str = ''
    fps: float = 0.
    size: tuple[int, int] = (0, 0)


def _unique_names(paths: Sequence[str], root: str | None) -> list[str]:
    """A name for the results of each file: its stem, with more of the path where two files share it."""
    relative = [PurePosixPath(os.path.relpath(p, root) if root else os.path.basename(p)) for p in paths]
    names = [str(p.with_suffix('')) for p in relative]
    counts = Counter(names)
    names = [f'{name}_{p.suffix[1:]}' if counts[name] > 1 else name for name, p in zip(names, relative)]
    counts, seen = Counter(names), Counter()
    for i, name in enumerate(names):
        if counts[name] > 1:  # the same file name in two folders of a list
            seen[name] += 1
            names[i] = f'{name}_{seen[name]}'
    return names


def _files(paths: Sequence[str], root: str | None = None) -> Source:
    items = [Item(name, lambda p=p: read_image(p), p, i) for i, (name, p) in enumerate(zip(_unique_names(paths, root), paths))]
    return Source('images', items, len(items))


def is_video(path: str) -> bool:
    """Whether a path looks like a video's by its suffix."""
    return path.lower().endswith(VIDEO_SUFFIXES)


def open_source(inputs) -> Source:
    """Make a :class:`Source` of what a user gives.

    Args:
        inputs: Path or URL of a picture or a video, a folder (searched with its subfolders), a pattern with ``*``, ``camera:N``,
            an array (BGR), or a list of pictures and arrays.

    Raises:
        FileNotFoundError: Nothing there.
        ValueError: It is nothing that can be read.
    """
    if isinstance(inputs, Source):
        return inputs
    if isinstance(inputs, np.ndarray):
        inputs = [inputs]
    if isinstance(inputs, (list, tuple)):
        return _from_list(inputs)
    if not isinstance(inputs, (str, os.PathLike)):
        raise ValueError(f'a picture, folder, pattern, video, camera:N or a list is expected, got a {type(inputs).__name__}')
    path = os.fspath(inputs)
    camera = re.fullmatch(r'(?:camera|webcam)(?::(\d+))?', path)
    if camera:
        return _camera(int(camera[1] or 0))
    if path.startswith(('http://', 'https://')):
        return _files([path])
    path = os.path.expanduser(path)
    if os.path.isdir(path):
        found = sorted(str(p) for p in Path(path).rglob('*') if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
        if not found:
            raise FileNotFoundError(f'{path} holds no pictures ({", ".join(IMAGE_SUFFIXES)})')
        return _files(found, root=path)
    if not os.path.exists(path) and any(c in path for c in '*?['):
        found = sorted(p for p in glob.glob(path, recursive=True) if p.lower().endswith(IMAGE_SUFFIXES))
        if not found:
            raise FileNotFoundError(f'no picture matches {path}')
        return _files(found, root=os.path.commonpath([os.path.dirname(p) for p in found]) or None)
    if not os.path.exists(path):
        raise FileNotFoundError(f'there is no picture, folder or video {path}')
    return _video(path) if is_video(path) else _files([path])


def _from_list(inputs: Sequence) -> Source:
    if not inputs:
        raise ValueError('the list of pictures is empty')
    paths = [os.fspath(i) for i in inputs if not isinstance(i, np.ndarray)]
    for path in paths:
        if not path.startswith(('http://', 'https://')) and not os.path.isfile(path):
            raise FileNotFoundError(f'there is no image {path}')
    names = iter(_unique_names(paths, None))
    items = []
    for i, entry in enumerate(inputs):
        array = isinstance(entry, np.ndarray)
        name, path = (f'{i:06d}', None) if array else (next(names), os.fspath(entry))
        items.append(Item(name, lambda e=entry: read_image(e), path, i))
    return Source('images', items, len(items))


def _frames(capture: cv2.VideoCapture) -> Iterator[Item]:
    index = 0
    try:
        while True:
            more, frame = capture.read()
            if not more:
                return
            yield Item(f'{index:06d}', lambda f=frame: f, None, index)
            index += 1
    finally:
        capture.release()


def _video(path: str) -> Source:
    capture = cv2.VideoCapture(path)
    size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    if not capture.isOpened() or 0 in size:
        raise ValueError(f'{path} cannot be opened as a video: it is damaged, or this OpenCV lacks its codec')
    length = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    fps = capture.get(cv2.CAP_PROP_FPS)
    return Source('video', _frames(capture), length if length > 0 else None, path, fps if 0 < fps < 1000 else 25., size)


def _camera(number: int) -> Source:
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        raise FileNotFoundError(f'there is no camera {number}')
    return Source('camera', _frames(capture), None, f'camera:{number}', capture.get(cv2.CAP_PROP_FPS) or 25.)
