"""Files that are either there whole or not at all."""
from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(target: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside ``target`` to write to; it takes the target's name when the block ends without an error.

    Folders above are made. The name keeps its suffix, by which writers of pictures and videos choose their format.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    stem = target.stem.encode()[:200].decode(errors='ignore')  # names of 255 bytes are as long as file systems have them
    partial = target.with_name(f'.{stem}.{os.getpid()}.partial{target.suffix}')
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def remove_stale(folder: str | os.PathLike, age: float = 10.) -> None:
    """Remove what runs that were killed have left half-written in a folder and below.

    Args:
        folder: Where to look; need not be there.
        age: Files that were written to in the last so many seconds stay: another machine may be at work here.
    """
    for path in Path(folder).rglob('.*.partial*'):
        found = re.fullmatch(r'\..*\.(\d+)\.partial(\.\w+)?', path.name)
        try:
            if found and not _runs(int(found[1])) and time.time() - path.stat().st_mtime > age:
                path.unlink()
        except FileNotFoundError:  # just finished
            pass


def _runs(pid: int) -> bool:
    """Whether another process of that number is alive on this machine."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
