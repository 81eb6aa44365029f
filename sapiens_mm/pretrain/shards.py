"""Sharded tar files in the layout of WebDataset: members that share a name up to the first dot are one sample."""
from __future__ import annotations

import base64
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

PICTURES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp')
INDEX = 'shards.json'  # WebDataset's own index of a set of shards


def split_name(name: str) -> tuple[str, str]:
    """A member's name as (sample, ending): ``a.b/c.seg.png`` is ``a.b/c`` and ``.seg.png``."""
    folder, _, base = name.rpartition('/')
    stem, dot, ending = base.partition('.')
    return (f'{folder}/{stem}' if folder else stem), dot + ending.lower()


def picture_ending(path: str, content: bytes) -> str:
    """Under which of :data:`PICTURES` a picture is found again: its own ending, or that of what it holds."""
    ending = os.path.splitext(path)[1].lower()
    return ending if ending in PICTURES else '.png' if content.startswith(b'\x89PNG') else '.jpg'


def read_pictures(path: str | Path, wanted: Callable[[int, str], bool] = lambda ordinal, key: True
                  ) -> Iterator[tuple[int, str, bytes | None]]:
    """Read a shard from front to back; what is not wanted is skipped without being read.

    Args:
        path: The tar file.
        wanted: Of a picture's number in the shard and its sample's name.

    Yields:
        Number of the picture, counted from 0 over all samples that have one, name of its sample, and the content of its file.

    Raises:
        tarfile.ReadError, OSError: The file is damaged or cut short; what lies before is yielded.
    """
    with tarfile.open(path, 'r:') as tar:
        ordinal, previous = -1, None
        while (member := tar.next()) is not None:
            tar.members = []  # it would keep the headers of all members
            key, ending = split_name(member.name)
            if not member.isfile() or ending not in PICTURES or key == previous:
                continue
            ordinal, previous = ordinal + 1, key
            if wanted(ordinal, key):
                content = tar.extractfile(member).read()
                if len(content) < member.size:
                    raise tarfile.ReadError(f'{path} ends within {member.name}')
                yield ordinal, key, content


def list_pictures(path: str | Path) -> list[str]:
    """Names of the samples of a shard that have a picture, in order; of a damaged shard, those before the damage.

    Raises:
        ValueError: It is damaged from its start on.
    """
    keys: list[str] = []
    try:
        for _ in read_pictures(path, lambda ordinal, key: bool(keys.append(key))):
            pass
    except (tarfile.ReadError, OSError) as error:
        if not keys:
            raise ValueError(f'{path} is no tar file, or damaged from its start on ({error}); replace or remove it') from None
    return keys


class Shards:
    """The pictures of a set of shards that count, by shard.

    Args:
        paths: The tar files, in order.
        counts: Number of pictures of each that count.
        kept: For each, the numbers of those pictures in their shard, as :func:`pack_kept` packs them; None where all count.
    """

    def __init__(self, paths: Sequence[str], counts: Sequence[int], kept: Sequence[str | None]):
        self.paths, self.kept = list(paths), list(kept)
        self.counts = np.asarray(counts, np.int64)

    @property
    def total(self) -> int:
        """Number of pictures that count."""
        return int(self.counts.sum())

    def arranged(self, order: np.ndarray) -> ShardStream:
        """The shards one after the other in some order."""
        return ShardStream(self, order)


class ShardStream:
    """Places in a row of shards: 0 is the first picture of the first shard."""

    def __init__(self, shards: Shards, order: np.ndarray):
        self.shards, self.order = shards, order
        self.ends = shards.counts[order].cumsum()

    def read(self, places: np.ndarray) -> Iterator[tuple[int, str, bytes | None]]:
        """Read places, ascending.

        Yields:
            Place, name of the picture, content; None for pictures that a damaged shard no longer has.
        """
        which = np.searchsorted(self.ends, places, 'right')
        for shard in np.unique(which):
            here = places[which == shard]
            number = self.order[shard]
            first = int(self.ends[shard] - self.shards.counts[number])
            kept, path = unpack_kept(self.shards.kept[number]), self.shards.paths[number]
            ordinals = here - first if kept is None else kept[here - first]
            place_of = dict(zip(ordinals.tolist(), here.tolist()))
            last = int(ordinals[-1])
            try:
                for ordinal, key, content in read_pictures(path, lambda n, key, w=place_of: n in w):
                    yield place_of.pop(ordinal), f'{path}/{key}', content
                    if ordinal == last:
                        break
            except (tarfile.ReadError, OSError):
                pass  # what is missing comes now
            for ordinal, place in place_of.items():
                yield place, f'{path}, picture {ordinal}', None


def pack_kept(kept: np.ndarray | None, size: int) -> str | None:
    """Numbers below ``size`` as text, one bit each."""
    if kept is None:
        return None
    bits = np.zeros(size, bool)
    bits[kept] = True
    return base64.b64encode(np.packbits(bits).tobytes()).decode()


def unpack_kept(text: str | None) -> np.ndarray | None:
    """Inverse of :func:`pack_kept`."""
    if text is None:
        return None
    return np.flatnonzero(np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8))).astype(np.int32)


class ShardWriter:
    """Write samples into numbered shards; a shard appears under its name when it is complete.

    The same samples give the same bytes.

    Args:
        directory: Where the shards go; made where absent.
        samples_per_shard: Samples in a shard.
        pattern: Name of a shard, of its number.
    """

    def __init__(self, directory: str | Path, samples_per_shard: int = 5000, pattern: str = 'shard-{:06d}.tar'):
        self.directory, self.samples_per_shard, self.pattern = Path(directory), samples_per_shard, pattern
        self.directory.mkdir(parents=True, exist_ok=True)
        self.shards: list[tuple[str, int]] = []
        self._tar, self._count = None, 0

    def write(self, key: str, files: dict[str, bytes]) -> None:
        """Add a sample: its name without a dot in the last part, and ending (with the dot) -> content."""
        if self._tar is None:
            self._name = self.pattern.format(len(self.shards))
            self._tar = tarfile.open(self.directory / f'{self._name}.partial', 'w', format=tarfile.PAX_FORMAT)
        for ending, content in files.items():
            member = tarfile.TarInfo(key + ending)
            member.size = len(content)
            self._tar.addfile(member, io.BytesIO(content))
        self._count += 1
        if self._count == self.samples_per_shard:
            self._finish_shard()

    def _finish_shard(self) -> None:
        self._tar.close()
        partial = self.directory / f'{self._name}.partial'
        with open(partial, 'rb') as file:
            os.fsync(file.fileno())
        os.replace(partial, self.directory / self._name)
        self.shards.append((self._name, self._count))
        self._tar, self._count = None, 0

    def close(self) -> None:
        """Finish the last shard and write the index of all."""
        if self._tar is not None:
            self._finish_shard()
        write_shard_index(self.directory, self.shards)


def write_shard_index(directory: str | Path, shards: Iterable[tuple[str, int]]) -> None:
    """Write WebDataset's index of a directory of shards, whole or not at all. ``shards``: file name and number of samples."""
    partial = Path(directory) / f'{INDEX}.partial'
    partial.write_text(json.dumps(dict(__kind__='wids-shard-index-v1', wids_version=1, shardlist=[
        dict(url=name, nsamples=count) for name, count in shards]), indent=1))
    os.replace(partial, Path(directory) / INDEX)
