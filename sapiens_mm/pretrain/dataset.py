"""Pictures of people without labels: from folders and lists, or streamed from shards."""
from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from glob import glob
from pathlib import Path

import numpy as np
from mmengine.dataset import Compose
from mmengine.logging import print_log
from mmengine.registry import TRANSFORMS
from torch.utils.data import Dataset, get_worker_info

from sapiens_mm.pretrain.index import cached_index, choose_cache_dir, file_stamp, folders_stamp, last_changes, locked, walk
from sapiens_mm.pretrain.order import Plan, StreamOrder
from sapiens_mm.pretrain.processes import process_pool
from sapiens_mm.pretrain.sampler import Ticket
from sapiens_mm.pretrain.shards import INDEX, PICTURES, Shards, list_pictures, pack_kept
from sapiens_mm.pretrain.sidecar import QualityFilter, read_sidecar
from sapiens_mm.registry import DATASETS

_MAX_REFETCH = 1000


def _pipeline(transforms: Sequence[dict | Callable]) -> Compose:
    return Compose([TRANSFORMS.build(t) if isinstance(t, dict) else t for t in transforms])


def _build_filter(quality: dict | None) -> QualityFilter | None:
    if quality is None:
        return None
    try:
        return QualityFilter(**quality)
    except TypeError as error:
        raise ValueError(f'quality takes min_score, min_side, max_people and reject_flags, got {dict(quality)}') from error


@DATASETS.register_module()
class HumanImages(Dataset):
    """Pictures of a folder tree, of a list, or of a quality sidecar.

    Their paths are kept in a memory-mapped index that is built once, used again while nothing has changed, and shared by all
    processes of a machine. (Khirodkar et al., ECCV 2024, section 3.1, for the filter.)

    Args:
        data_root: Folder that all paths are relative to.
        ann_file: A text file with one path per line, or a sidecar (``.parquet``, ``.jsonl``, see
            :func:`sapiens_mm.pretrain.sidecar.read_sidecar`), relative to ``data_root``; the whole tree where empty.
        quality: Arguments of :class:`sapiens_mm.pretrain.sidecar.QualityFilter`, for a sidecar; ``dict()`` is the paper's
            filter, None takes all rows.
        pipeline: Transforms; the first reads ``img_path``.
        suffixes: Endings of picture files, for a tree.
        cache_dir: Where the index goes; by default a hidden folder in ``data_root``, or the user's cache.
        metainfo: Kept in checkpoints and given to visualisers.

    Raises:
        FileNotFoundError: No ``data_root`` or no ``ann_file``.
        ValueError: Nothing found, or ``quality`` without a sidecar.
    """

    def __init__(self, data_root: str, ann_file: str = '', quality: dict | None = None, pipeline: Sequence[dict | Callable] = (),
                 suffixes: Sequence[str] = PICTURES, cache_dir: str | None = None, metainfo: dict | None = None):
        self.data_root = os.path.expanduser(data_root)
        if not os.path.isdir(self.data_root):
            raise FileNotFoundError(f'no folder {self.data_root}; set data_root of the data set, for example with --cfg-options '
                                    'train_dataloader.dataset.data_root=DIR')
        self.metainfo = dict(metainfo or {})
        self.pipeline = _pipeline(pipeline)
        self._suffixes = tuple(s.lower() for s in suffixes)
        self._ann_file = os.path.join(self.data_root, ann_file) if ann_file else ''
        self._quality = _build_filter(quality)
        if self._quality and not self._ann_file.endswith(('.parquet', '.jsonl', '.json')):
            raise ValueError(f'quality filters the rows of a sidecar: set ann_file to a .parquet or .jsonl file, not {ann_file!r}')
        if self._ann_file and not os.path.isfile(self._ann_file):
            raise FileNotFoundError(f'no file {self._ann_file}; ann_file is relative to data_root')
        spec = json.dumps([os.path.abspath(self.data_root), ann_file, quality, self._suffixes])
        name = f'paths-{hashlib.sha256(spec.encode()).hexdigest()[:16]}'
        self.index = cached_index(choose_cache_dir(self.data_root, cache_dir), name, self._fingerprint, self._paths)
        if not len(self.index):
            where = self._ann_file or f'{self.data_root} ({", ".join(self._suffixes)})'
            raise ValueError(f'no pictures in {where}' + (' that pass the quality filter' if self._quality else ''))

    def _fingerprint(self, folders: Sequence[str]) -> str:
        return file_stamp(self._ann_file) if self._ann_file else folders_stamp(last_changes(self.data_root, folders))

    def _paths(self) -> tuple[Iterator[bytes], Callable]:
        if not self._ann_file:
            visited: dict[str, int] = {}
            return walk(self.data_root, self._suffixes, visited), lambda: (list(visited), folders_stamp(visited))
        stamp = file_stamp(self._ann_file)
        if self._ann_file.endswith(('.parquet', '.jsonl', '.json')):
            keep = self._quality or (lambda row: True)
            return (os.fsencode(row['path']) for row in read_sidecar(self._ann_file) if keep(row)), lambda: (None, stamp)
        return self._lines(), lambda: (None, stamp)

    def _lines(self) -> Iterator[bytes]:
        with open(self._ann_file, 'rb') as file:
            yield from (line for line in (line.rstrip(b'\r\n') for line in file) if line)

    def __len__(self) -> int:
        return len(self.index)

    def get_data_info(self, i: int) -> dict:
        """``img_path`` and ``sample_idx`` of a picture."""
        return dict(img_path=os.path.join(self.data_root, self.index[i]), sample_idx=i)

    def __getitem__(self, i: int) -> dict:
        for _ in range(_MAX_REFETCH):
            sample = self.pipeline(self.get_data_info(i))
            if sample is not None:
                return sample
            i = int(np.random.randint(len(self)))
        raise ValueError(f'{_MAX_REFETCH} pictures in a row could not be used; look at the pipeline and the pictures')


class _Lane:
    """A worker's way through its part of a stream, batch after batch."""

    def __init__(self, dataset: ShardedHumanImages, plan: Plan, num_workers: int, worker: int):
        self.key = plan, num_workers, worker
        order = StreamOrder(len(dataset), plan.seed, plan.epoch, dataset.shuffle_buffer if plan.shuffle else 1, plan.drop_last,
                            plan.stages)
        rng = np.random.default_rng((plan.seed, plan.epoch))
        count = len(dataset.shards.paths)
        self._stream = dataset.shards.arranged(rng.permutation(count) if plan.shuffle else np.arange(count))
        self._places = order.of_worker(plan.world_size, plan.rank, num_workers, worker, plan.batch_size)
        self._workers, self._batch_size = max(num_workers, 1), plan.batch_size
        self._at = None

    def content(self, batch: int, item: int) -> tuple[str, bytes | None]:
        """Name and content of an item; asked for in order."""
        at = batch // self._workers * self._batch_size + item
        if self._at is None or at < self._at:
            self._start(at)
        self._at = at + 1
        place = int(self._places[at])
        while place not in self._held:
            found = next(self._reader, None)
            if found is None:  # filled up with what was handed out before
                self._reader = self._stream.read(np.array([place]))
                continue
            self._held[found[0]] = found[1:]
        # What comes again, to fill the last batch, is read again.
        return self._held.pop(place)

    def _start(self, at: int) -> None:
        self._held: dict[int, tuple[str, bytes | None]] = {}
        self._reader = self._stream.read(np.unique(self._places[at:]))


def _count_shard(job: tuple[str, str | None, QualityFilter | None]) -> tuple[int, str | None]:
    """How many pictures of a shard count, and which, of its path, its sidecar and what that has to say."""
    path, notes, quality = job
    keys = list_pictures(path)
    if quality is None:
        return len(keys), None
    good = {row['path'] for row in read_sidecar(notes) if quality(row)}
    kept = np.array([i for i, key in enumerate(keys) if key in good], np.int32)
    return len(kept), pack_kept(kept, len(keys))


@contextmanager
def _processes(jobs: int) -> Iterator[Callable]:
    """A ``map`` over processes of this machine where there are many jobs."""
    if jobs < 64:
        yield map
        return
    with process_pool(min(os.cpu_count() or 1, 32), 'fork') as pool:
        yield partial(pool.map, chunksize=4)


def _whole_lines(file: Path) -> Iterator[list]:
    """Rows of a file that processes have added to, which may have been killed within a line."""
    for line in file.read_text().splitlines() if file.is_file() else ():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


@DATASETS.register_module()
class ShardedHumanImages(Dataset):
    """Pictures streamed from tar files in the layout of WebDataset.

    Each worker of each process reads a part of its own from front to back; the parts are of equal length, so that one that ends
    within a shard shares it with the next. Shards are shuffled every epoch, and pictures within a buffer. With
    ``sapiens_mm.DataPositionHook`` a resumed run goes on exactly after the last batch that its checkpoint was trained on.

    Args:
        data_root: Folder with the shards.
        shards: Pattern of their names, or list of names.
        quality: Arguments of :class:`sapiens_mm.pretrain.sidecar.QualityFilter`; needs a sidecar. ``dict()`` is the paper's.
        sidecar: Where the sidecars are: a folder (relative to ``data_root``) with ``NAME.parquet`` or ``NAME.jsonl`` for each shard
            ``NAME.tar``, whose ``path`` is the sample's name in the shard.
        pipeline: Transforms; the first reads ``img_bytes``, as ``sapiens_mm.LoadRandomResizedCrop`` does.
        shuffle_buffer: Pictures, as files, that each worker keeps at most to shuffle them: a machine with 8 processes of 16 workers
            keeps up to 128 times as many.
        cache_dir: Where the number of pictures of each shard is kept; by default as in :class:`HumanImages`. What ``shards.json``
            (WebDataset's index) beside the shards says is believed.
        metainfo: Kept in checkpoints and given to visualisers.

    Raises:
        FileNotFoundError: No ``data_root``, no shards, or no sidecar of one.
        ValueError: No pictures, or ``quality`` is wrong.
    """

    def __init__(self, data_root: str, shards: str | Sequence[str] = '*.tar', quality: dict | None = None, sidecar: str = '',
                 pipeline: Sequence[dict | Callable] = (), shuffle_buffer: int = 500, cache_dir: str | None = None,
                 metainfo: dict | None = None):
        self.data_root = os.path.expanduser(data_root)
        pattern = shards if isinstance(shards, str) else None
        paths = sorted(glob(os.path.join(self.data_root, pattern))) if pattern else [
            os.path.join(self.data_root, name) for name in shards]
        missing = [path for path in paths if not os.path.isfile(path)]
        if missing or not paths:
            raise FileNotFoundError(f'no shards {missing[0] if missing else os.path.join(self.data_root, str(shards))}; set '
                                    'data_root and shards of the data set')
        self.metainfo = dict(metainfo or {})
        self.pipeline = _pipeline(pipeline)
        self.shuffle_buffer = shuffle_buffer
        self._quality = _build_filter(quality)
        self._sidecar = os.path.join(self.data_root, sidecar)
        self.shards = self._counted(paths, choose_cache_dir(self.data_root, cache_dir), quality)
        if not self.shards.total:
            raise ValueError(f'no pictures in the {len(paths)} shards of {self.data_root}' +
                             (' that pass the quality filter' if self._quality else ''))
        self._lane: _Lane | None = None
        self._substitute: tuple[str, bytes] | None = None

    def _counted(self, paths: list[str], cache_dir: Path, quality: dict | None) -> Shards:
        """The pictures of each shard that count; shards that have not changed are not opened again."""
        stated = self._stated(paths) if self._quality is None else {}
        found: dict[str, tuple[int, str | None]] = {path: (count, None) for path, count in stated.items()}
        if len(found) < len(paths):
            spec = json.dumps([os.path.abspath(self.data_root), quality, self._sidecar])
            file = cache_dir / f'shards-{hashlib.sha256(spec.encode()).hexdigest()[:16]}.jsonl'
            with locked(file.with_suffix('.lock')):
                found.update(self._count([path for path in paths if path not in found], file))
        return Shards(paths, [found[path][0] for path in paths], [found[path][1] for path in paths])

    def _count(self, paths: list[str], file: Path) -> dict[str, tuple[int, str | None]]:
        """Count shards, and add each to ``file`` at once, so that an interrupted count goes on."""
        cached = {row[0]: row[1:] for row in _whole_lines(file)}
        sidecars = {path: self._sidecar_of(path) if self._quality else None for path in paths}
        stamps = {path: file_stamp(path) + (f' {file_stamp(notes)}' if notes else '') for path, notes in sidecars.items()}
        jobs = [(path, sidecars[path], self._quality) for path in paths if cached.get(path, [None])[0] != stamps[path]]
        if jobs:
            print_log(f'{len(jobs)} of {len(paths)} shards are opened to count their pictures', 'current', logging.INFO)
            with open(file, 'a') as journal, _processes(len(jobs)) as run:
                for number, ((path, *_), result) in enumerate(zip(jobs, run(_count_shard, jobs)), 1):
                    cached[path] = [stamps[path], *result]
                    journal.write(f'\n{json.dumps([path, *cached[path]])}\n')  # a kill may have left half a line
                    journal.flush()
                    if number % 1000 == 0:
                        print_log(f'{number} of {len(jobs)} shards counted', 'current', logging.INFO)
        return {path: tuple(cached[path][1:]) for path in paths}

    def _stated(self, paths: list[str]) -> dict[str, int]:
        """Shard -> number of pictures that ``shards.json`` states."""
        index = Path(self.data_root) / INDEX
        if not index.is_file():
            return {}
        stated = {os.path.join(self.data_root, s['url']): s['nsamples'] for s in json.loads(index.read_text())['shardlist']}
        return {path: stated[path] for path in paths if path in stated}

    def _sidecar_of(self, shard: str) -> str:
        stem = os.path.join(self._sidecar, Path(shard).stem)
        for path in (f'{stem}.parquet', f'{stem}.jsonl'):
            if os.path.isfile(path):
                return path
        raise FileNotFoundError(f'no {stem}.parquet or .jsonl: quality needs a sidecar for each shard; set sidecar to their folder')

    @property
    def order_key(self) -> str:
        """Changes when an epoch of the same seed would have another order."""
        parts = [self.shuffle_buffer, [os.path.basename(path) for path in self.shards.paths], self.shards.counts.tolist()]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_lane': None}

    def __len__(self) -> int:
        return self.shards.total

    def __getitem__(self, ticket: Ticket | int) -> dict:
        """The sample of a ticket; of a plain index for a look at single ones."""
        if not isinstance(ticket, Ticket):
            return self._first_good(ticket)
        worker = get_worker_info()
        workers = worker.num_workers if worker else 0
        lane = ticket.plan, workers, ticket.batch % max(workers, 1)
        if self._lane is None or self._lane.key != lane:
            self._lane = _Lane(self, *lane)
        name, content = self._lane.content(ticket.batch, ticket.item)
        sample = self._process(name, content)
        if sample is not None:
            self._substitute = name, content
            return sample
        # The batch has to be whole: another crop of the last good picture, without going on in the stream.
        sample = self._process(*self._substitute) if self._substitute else None
        return self._first_good(int(np.random.randint(len(self)))) if sample is None else sample

    def _process(self, name: str, content: bytes | None) -> dict | None:
        return self.pipeline(dict(img_path=name, img_bytes=content or b''))

    def _first_good(self, i: int) -> dict:
        """The first picture that can be used, from index ``i`` of the shards in order."""
        stream = self.shards.arranged(np.arange(len(self.shards.paths)))
        for _, name, content in stream.read(np.arange(i, min(i + _MAX_REFETCH, len(self)))):
            sample = self._process(name, content)
            if sample is not None:
                return sample
        raise ValueError(f'none of the pictures from number {i} on could be used; look at the pipeline and the pictures')
