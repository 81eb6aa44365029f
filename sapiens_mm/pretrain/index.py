"""An index of very many paths that costs a worker process nothing.

Built once into a cache directory: one blob with all paths and the offsets of their ends, both memory-mapped, so that the processes
of a machine share one copy in the page cache and starting from it reads almost nothing.
"""
from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

_FORMAT = 1  # of the files below; counts in the fingerprint
_BATCH = 100_000


class PathIndex:
    """Paths below a directory, in a fixed order.

    Args:
        directory: Of an index that :func:`build_index` has written.
    """

    def __init__(self, directory: str | Path):
        self.directory = Path(directory)
        self._open()

    def _open(self) -> None:
        self._ends = np.load(self.directory / 'ends.npy', mmap_mode='r')
        blob = self.directory / 'paths.bin'
        self._blob = np.memmap(blob, np.uint8, 'r') if blob.stat().st_size else np.zeros(0, np.uint8)

    def __getstate__(self) -> dict:
        return dict(directory=self.directory)  # a process that is not forked maps the files again

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._open()

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def size(self) -> int:
        """Bytes of all paths."""
        return len(self._blob)

    def __getitem__(self, i: int) -> str:
        start = int(self._ends[i - 1]) if i else 0
        return os.fsdecode(self._blob[start:int(self._ends[i])].tobytes())


def build_index(directory: Path, paths: Iterable[bytes]) -> int:
    """Write an index of ``paths`` into a new directory; returns their number. Needs memory for a few thousand paths only."""
    directory.mkdir(parents=True)
    count = end = 0
    with open(directory / 'paths.bin', 'wb') as blob, open(directory / 'ends.raw', 'wb') as ends:
        for batch in _batched(paths):
            lengths = np.fromiter(map(len, batch), np.int64, len(batch))
            ends.write((end + lengths.cumsum()).tobytes())
            blob.write(b''.join(batch))
            end += int(lengths.sum())
            count += len(batch)
    raw = np.memmap(directory / 'ends.raw', np.int64, 'r') if count else np.zeros(0, np.int64)
    table = np.lib.format.open_memmap(directory / 'ends.npy', 'w+', np.int64, (count, ))
    table[:] = raw
    table.flush()
    os.unlink(directory / 'ends.raw')
    return count


def _batched(items: Iterable) -> Iterator[list]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def cached_index(cache_dir: str | Path, name: str, fingerprint, paths) -> PathIndex:
    """The index called ``name`` from the cache, built first where it is absent or no longer current.

    One process builds while the others of the machine wait; a half-built index is never seen.

    Args:
        cache_dir: Directory for indices; made where absent.
        name: What is indexed, without the version: a file name.
        fingerprint: ``fingerprint(notes)`` gives a string that changes whenever the paths may have changed. ``notes`` are
            those of the cached index, None where there is none.
        paths: ``paths()`` gives an iterator over the paths as bytes, and a function that tells, when the iterator is
            exhausted, the notes (plain data) that the fingerprint needs next time, and the fingerprint of what was read.
    """
    cache_dir = Path(cache_dir)
    with locked(cache_dir / f'{name}.lock'):
        home = cache_dir / name
        note_file = home / 'notes.json'
        if note_file.is_file():
            kept = json.loads(note_file.read_text())
            if kept['format'] == _FORMAT and kept['fingerprint'] == fingerprint(kept['notes']):
                return PathIndex(home)
            print_log(f'{home} is no longer current and is built again', 'current', logging.INFO)
        start, building = time.perf_counter(), cache_dir / f'{name}.partial'
        shutil.rmtree(building, ignore_errors=True)
        iterator, finish = paths()
        count = build_index(building, iterator)
        notes, read = finish()
        (building / 'notes.json').write_text(json.dumps(dict(format=_FORMAT, count=count, notes=notes, fingerprint=read)))
        # Processes that have the old index open keep it: removed files live until they are closed.
        shutil.rmtree(home, ignore_errors=True)
        os.replace(building, home)
        print_log(f'index of {count} paths built in {time.perf_counter() - start:.1f} s: {home}', 'current', logging.INFO)
        return PathIndex(home)


@contextmanager
def locked(path: Path):
    """One process at a time; the others wait. On a shared disk that locks files, one of all machines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def choose_cache_dir(root: str | Path, cache_dir: str | Path | None = None) -> Path:
    """``cache_dir``, or a hidden directory below ``root``, or one of the user's where ``root`` cannot be written to."""
    if cache_dir is not None:
        return Path(cache_dir)
    hidden = Path(root) / '.sapiens_mm_index'
    try:
        hidden.mkdir(exist_ok=True)
        if os.access(hidden, os.W_OK):
            return hidden
    except OSError:
        pass
    home = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    return home / 'sapiens_mm' / 'index' / hashlib.sha256(str(Path(root).resolve()).encode()).hexdigest()[:16]


def file_stamp(path: str | Path) -> str:
    """A string that changes when a file is written again."""
    stat = os.stat(path)
    return f'{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ino}'


def walk(root: str | Path, suffixes: tuple[str, ...], visited: dict[str, int]) -> Iterator[bytes]:
    """Files below a directory, sorted within each folder, relative to it; hidden ones are left out and links followed.

    Args:
        root: Where to look.
        suffixes: Lower-case endings of the files that count, with the dot.
        visited: Filled with the folders, relative to ``root``, and when they had changed last before they were read.
    """
    waiting = ['']
    endings = tuple(s.encode() for s in suffixes)
    while waiting:
        folder = waiting.pop()
        visited[folder] = os.stat(os.path.join(root, folder)).st_mtime_ns
        files, below = [], []
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in entries:
                if entry.name.startswith('.'):
                    continue
                if entry.is_dir():
                    here = os.path.join(os.path.realpath(os.path.join(root, folder)), '')
                    if entry.is_symlink() and here.startswith(os.path.join(os.path.realpath(entry), '')):
                        continue  # a circle
                    below.append(os.path.join(folder, entry.name))
                else:
                    files.append(os.fsencode(os.path.join(folder, entry.name)))
        waiting.extend(sorted(below, reverse=True))
        yield from (f for f in sorted(files) if f.lower().endswith(endings))


def folders_stamp(changed: Mapping[str, int]) -> str:
    """A string that changes when a file or folder appears, goes or is renamed in one of these folders.

    Args:
        changed: Folder -> when it changed last.
    """
    digest = hashlib.sha256()
    for folder, time_ns in changed.items():
        digest.update(f'{folder}\0{time_ns}\n'.encode(errors='surrogateescape'))
    return digest.hexdigest()


def last_changes(root: str | Path, folders: Iterable[str]) -> dict[str, int]:
    """When folders below ``root`` changed last, for :func:`folders_stamp`; -1 for one that is gone."""
    changed = {}
    for folder in folders:
        try:
            changed[folder] = os.stat(os.path.join(root, folder)).st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            changed[folder] = -1
    return changed
