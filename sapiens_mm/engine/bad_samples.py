"""Reading files that may be broken, and counting those that are."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import mmcv
import numpy as np
import torch
from mmengine import fileio
from torch.utils.data import get_worker_info


class BadSamples:
    """Count of the files that were read and of those that were bad, over all worker processes of a data loader.

    Each worker writes a row of its own in shared memory, so that no increment is lost and the process that trains sees
    them all.

    Args:
        max_share: Share of bad files that is accepted, 0 to 1.
        always: So many bad files are accepted however few were read.
        settle: While fewer files than that were read, the share is taken of that many.
        what: What was read and what is wrong with it, for messages.
        option: Where ``max_share`` is set, for the error.
    """

    _ROWS, _NAMES, _LENGTH = 129, 4, 256  # the main process and 128 workers; a few names of the bad files, in bytes

    def __init__(self, max_share: float, always: int = 3, settle: int = 1000, what: str = 'images that were read cannot be decoded',
                 option: str = 'max_bad_share of sapiens_mm.LoadImage'):
        self.max_share, self.always, self.settle = max_share, always, settle
        self.what, self.option = what, option
        self._counts = torch.zeros(self._ROWS, 2, dtype=torch.int64).share_memory_()
        self._names = torch.zeros(self._ROWS, self._NAMES, self._LENGTH, dtype=torch.uint8).share_memory_()

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        # Already shared where the data loader pickled it for a spawned worker; on its own where something else did.
        self._counts.share_memory_()
        self._names.share_memory_()

    def __deepcopy__(self, memo: dict) -> BadSamples:
        return BadSamples(self.max_share, self.always, self.settle, self.what, self.option)

    def add(self, bad_file: str | None = None) -> None:
        """Count a file that was read; ``bad_file``: its name if it was bad. Raises ``ValueError`` past the accepted share."""
        worker = get_worker_info()
        row = 0 if worker is None else 1 + worker.id % (self._ROWS - 1)
        counts = self._counts[row]
        if bad_file is not None:
            if counts[1] < self._NAMES:
                name = bad_file.encode()[-self._LENGTH:]
                self._names[row, int(counts[1]), :len(name)] = torch.tensor(list(name), dtype=torch.uint8)
            counts[1] += 1
        counts[0] += 1
        if bad_file is not None:
            self.judge(*self.state(), self.settle)

    def state(self) -> tuple[int, int, list[str]]:
        """How many were read, how many of them were bad, and the names of a few."""
        read, bad = self._counts.sum(0).tolist()
        rows = self._names[self._names[..., 0] > 0][:self._NAMES]
        return read, bad, [bytes(row[row > 0].tolist()).decode(errors='replace') for row in rows]

    def judge(self, read: int, bad: int, names: Sequence[str], settle: int = 0) -> None:
        """Raise ``ValueError`` where too many are bad."""
        if bad > max(self.always, self.max_share * max(read, settle)):
            raise ValueError(f'{bad} of {read} {self.what}, {self.max_share:.1%} may be ({self.option}); '
                             f'among them {", ".join(names)}')

    def reset(self) -> None:
        """Start again at zero."""
        self._counts.zero_()
        self._names.zero_()


def is_cut_off(content: bytes) -> bool:
    """Whether a JPEG or PNG file ends early; OpenCV decodes such files and paints the rest grey."""
    if content.startswith(b'\xff\xd8'):
        # Inside compressed data 0xff is always followed by 0, so an end marker after the last scan's start is the real one.
        return content.rfind(b'\xff\xd9') < content.rfind(b'\xff\xda')
    return content.startswith(b'\x89PNG') and b'IEND' not in content


def read_image(path: str, what: str = 'image', hint: str = 'check data_root and data_prefix of the data set',
               color_type: str = 'color', backend: str = 'cv2', backend_args: dict | None = None) -> np.ndarray | None:
    """Read a picture of any place that mmengine knows.

    Args:
        path: Where it is.
        what: What it should be, for the error.
        hint: What to do where there is none, for the error.
        color_type: ``flag`` of ``mmcv.imfrombytes``.
        backend: Decoder of ``mmcv.imfrombytes``.
        backend_args: Of mmengine's ``fileio``.

    Returns:
        (H, W, 3) BGR or (H, W), uint8 as a rule; None where the file cannot be decoded or ends early.

    Raises:
        FileNotFoundError: There is no file.
    """
    try:
        content = fileio.get(path, backend_args=backend_args)
    except FileNotFoundError as e:
        raise FileNotFoundError(f'there is no {what} {path}; {hint}') from e
    if not content or is_cut_off(content):
        return None
    try:
        return mmcv.imfrombytes(content, flag=color_type, backend=backend)
    except (cv2.error, OSError, SyntaxError, ValueError):  # what OpenCV and Pillow raise on broken files
        return None
