"""From a pile of pictures to shards of pictures of people (Sapiens, Khirodkar et al., ECCV 2024, section 3.1).

Four steps, each of which leaves files that are either there whole or not at all, so that whatever was interrupted is done again and
nothing else is:

1. ``detect``, for each unit of the source (a shard, or some thousand paths): ``rows/UNIT.jsonl``, a row for each picture.
2. ``deduplicate``, once: ``duplicates.npy``, which pictures look like an earlier one.
3. ``write``, for each unit: ``shards/UNIT.tar`` with the pictures that stay, and the sidecar ``shards/UNIT.jsonl``.
4. ``report``, once: ``report.md`` and ``shards/shards.json``.
"""
from __future__ import annotations

import io
import json
import os
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np

from sapiens_mm.engine.atomic_file import atomic_path
from sapiens_mm.pretrain.dataset import HumanImages
from sapiens_mm.pretrain.shards import PICTURES, read_pictures, write_shard_index
from sapiens_mm.pretrain.sidecar import QualityFilter

Detector = Callable[[list[np.ndarray]], list[tuple[np.ndarray, np.ndarray]]]
_BITS = np.array([bin(i).count('1') for i in range(2**16)], np.uint8)
_WORST_BUCKET = 2048  # more pictures than that with the same part of a hash are compared with its first so many only


def build_callable(cfg: dict) -> Callable:
    """The callable that ``cfg['type']`` names by its dotted path; a class is instantiated with the other entries."""
    kwargs = dict(cfg)
    module, _, name = str(kwargs.pop('type')).rpartition('.')
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f'{cfg["type"]!r} is not the dotted path of a function or class that can be imported ({error})') from error
    if isinstance(found, type):
        return found(**kwargs)
    if kwargs:
        raise ValueError(f'{cfg["type"]} is a function; it takes no settings, got {", ".join(kwargs)}')
    return found


class RTMDetPerson:
    """People found by mmdet's RTMDet (Lyu et al., 2022), or any other detector that ``DetInferencer`` knows.

    Args:
        model: Name or config of the detector.
        weights: Its checkpoint; downloaded where None and ``model`` is a name.
        device: Such as ``'cuda:0'``.
        label: Index of the class person.
    """

    def __init__(self, model: str = 'rtmdet-m', weights: str | None = None, device: str = 'cpu', label: int = 0):
        try:
            from mmdet.apis import DetInferencer
        except ImportError:
            raise ValueError('RTMDetPerson needs mmdet: pip install mmdet==3.3.0; or name another detector in the config') from None
        self.label = label
        self.inferencer = DetInferencer(model, weights, device=device, show_progress=False)

    def __call__(self, images: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Boxes (N, 4), x1 y1 x2 y2 in pixels, and scores (N,) of each BGR picture."""
        found = self.inferencer(images, batch_size=len(images), return_datasamples=True, no_save_vis=True)['predictions']
        out = []
        for sample in found:
            people = sample.pred_instances[sample.pred_instances.labels == self.label]
            out.append((people.bboxes.cpu().numpy(), people.scores.cpu().numpy()))
        return out


def perceptual_hash(image: np.ndarray) -> int:
    """64 bits that hardly change when a picture is resized, recompressed or brightened: signs of its low frequencies."""
    small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), 'big')


def find_duplicates(hashes: np.ndarray, max_distance: int) -> np.ndarray:
    """Which hashes differ from an earlier one in ``max_distance`` bits at most: (N,) uint64 -> (N,) bool.

    Two such hashes agree in one of ``max_distance + 1`` parts, so only hashes that share a part are compared.
    """
    duplicate = np.zeros(len(hashes), bool)
    parts = np.array_split(np.arange(64), max_distance + 1)
    for part in parts:
        key = (hashes >> np.uint64(part[0])) & np.uint64((1 << len(part)) - 1)
        order = np.argsort(key, kind='stable')  # of one key, the earlier first
        starts = np.flatnonzero(np.append(True, np.diff(key[order]) != 0))
        for first, last in zip(starts, np.append(starts[1:], len(order))):
            bucket = order[first:last]
            for begin in range(1, len(bucket), _WORST_BUCKET):
                mine = bucket[begin:begin + _WORST_BUCKET]
                others = bucket[:min(begin + _WORST_BUCKET, _WORST_BUCKET)]
                different = hashes[mine][:, None] ^ hashes[others][None]
                distance = _BITS[different.view(np.uint16)].reshape(*different.shape, 4).sum(2, dtype=np.uint8)
                duplicate[mine] |= ((distance <= max_distance) & (others[None] < mine[:, None])).any(1)
    return duplicate


class Source:
    """Pictures to curate, in units that are worked on one by one: the shards of a folder that has some, else paths.

    Args:
        root: Folder with ``*.tar``, or a tree of pictures.
        unit_size: Pictures of a unit of a tree.
        cache_dir: Of the index of a tree.
    """

    def __init__(self, root: str | Path, unit_size: int = 2000, cache_dir: str | Path | None = None):
        self.root = Path(root)
        self.shards = sorted(self.root.glob('*.tar'))
        self.unit_size = unit_size
        self.index = None if self.shards else HumanImages(str(root), cache_dir=cache_dir).index
        self.units = [shard.stem for shard in self.shards] if self.shards else [
            f'part-{i:06d}' for i in range(-(-len(self.index) // unit_size))]

    def read(self, unit: str, wanted: Callable[[str], bool] = lambda key: True) -> Iterator[tuple[str, bytes | None]]:
        """Name and content of the pictures of a unit, in order; None for those that cannot be read."""
        number = self.units.index(unit)
        if self.shards:
            try:
                for _, key, content in read_pictures(self.shards[number], lambda ordinal, key: wanted(key)):
                    yield key, content
            except (tarfile.ReadError, OSError) as error:
                yield f'(the rest of the shard: {error})', None
            return
        for i in range(number * self.unit_size, min((number + 1) * self.unit_size, len(self.index))):
            path = self.index[i]
            if wanted(path):
                try:
                    yield path, (self.root / path).read_bytes()
                except OSError:
                    yield path, None


class Curator:
    """The steps of curation in an output folder.

    Args:
        source: What to curate.
        out: Folder for everything; may hold what an earlier run has done.
        detector: ``dict(type='dotted.path', ...)`` of a callable: list of BGR pictures -> list of boxes (N, 4) and scores (N,).
        quality: Arguments of :class:`sapiens_mm.pretrain.sidecar.QualityFilter`.
        filters: The same form; callables of a BGR picture that return a flag, such as ``'watermark'``, or None. A flagged
            picture is left out.
        max_distance: Bits in which perceptual hashes of near duplicates differ at most, 0 to 7; None keeps duplicates.
        batch_size: Pictures that the detector gets at once.

    Raises:
        ValueError: The folder was made with other settings.
    """

    def __init__(self, source: Source, out: str | Path, detector: dict, quality: dict | None = None, filters: Sequence[dict] = (),
                 max_distance: int | None = 3, batch_size: int = 16):
        if max_distance is not None and not 0 <= max_distance <= 7:
            raise ValueError(f'max_distance must lie in 0 to 7 bits or be None, got {max_distance}')
        self.source, self.out = source, Path(out)
        self.quality = QualityFilter(**(quality or {}))
        self.max_distance, self.batch_size = max_distance, batch_size
        self._detector_cfg, self._filter_cfgs = dict(detector), [dict(f) for f in filters]
        self._detector: Detector | None = None
        settings = json.loads(json.dumps(dict(
            source=os.path.abspath(source.root), units=len(source.units), detector=self._detector_cfg, quality=quality or {},
            filters=self._filter_cfgs, max_distance=max_distance, batch_size=batch_size), default=str))
        file = self.out / 'settings.json'
        if file.is_file():
            kept = json.loads(file.read_text())
            changed = [key for key in settings if kept.get(key) != settings[key]]
            if changed:
                raise ValueError(f'{out} was begun with another {", ".join(changed)}; give a new folder, or the settings of '
                                 f'{file}')
        else:
            with atomic_path(file) as partial:
                partial.write_text(json.dumps(settings, indent=1))

    def detect(self, unit: str) -> bool:
        """Look at the pictures of a unit; False if that was done before."""
        target = self.out / 'rows' / f'{unit}.jsonl'
        if target.is_file():
            return False
        _sweep(target)
        if self._detector is None:
            self._detector = build_callable(self._detector_cfg)
            self._filters = [build_callable(cfg) for cfg in self._filter_cfgs]
        with atomic_path(target) as partial, open(partial, 'w') as file:
            waiting: list[tuple[str, np.ndarray | None]] = []
            for key, content in self.source.read(unit):
                waiting.append((key, cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None))
                if len(waiting) == self.batch_size:
                    self._write_rows(file, waiting)
                    waiting = []
            self._write_rows(file, waiting)
            file.flush()
            os.fsync(file.fileno())
        return True

    def _write_rows(self, file, pictures: list[tuple[str, np.ndarray | None]]) -> None:
        readable = [image for _, image in pictures if image is not None]
        found = iter(self._detector(readable) if readable else ())
        for key, image in pictures:
            if image is None:
                row = dict(path=key, boxes=[], scores=[], rejected='unreadable')
            else:
                boxes, scores = next(found)
                row = dict(path=key, width=image.shape[1], height=image.shape[0],
                           boxes=np.asarray(boxes, float).reshape(-1, 4).round(1).tolist(),
                           scores=np.asarray(scores, float).ravel().round(4).tolist())
                row['flags'] = [flag for flag in (f(image) for f in self._filters) if flag]
                row['people'] = self.quality.people(row)
                row['hash'] = f'{perceptual_hash(image):016x}'
                row['rejected'] = self._reason(row)
            file.write(json.dumps(row) + '\n')

    def _reason(self, row: dict) -> str | None:
        """Why a picture is left out."""
        if row['flags']:
            return row['flags'][0]
        if self.quality(row):
            return None
        if row['people']:
            return 'too many people'
        return 'people too small' if any(s > self.quality.min_score for s in row['scores']) else 'no person'

    def rows(self, unit: str) -> list[dict]:
        """What :meth:`detect` has found in a unit."""
        file = self.out / 'rows' / f'{unit}.jsonl'
        if not file.is_file():
            raise FileNotFoundError(f'{file} is not there yet: run the step detect on all units first')
        return [json.loads(line) for line in file.read_text().splitlines()]

    def deduplicate(self) -> bool:
        """Find near duplicates among all pictures that would stay; False if that was done before."""
        target = self.out / 'duplicates.npy'
        if target.is_file():
            return False
        chunks = [np.array([int(row['hash'], 16) for row in self.rows(unit) if not row['rejected']], np.uint64)
                  for unit in self.source.units]
        hashes = np.concatenate([np.zeros(0, np.uint64), *chunks])
        duplicate = np.zeros(len(hashes), bool) if self.max_distance is None else find_duplicates(hashes, self.max_distance)
        ends = np.cumsum([len(chunk) for chunk in chunks])
        for file, table in ((self.out / 'duplicates_ends.npy', ends), (target, np.packbits(duplicate))):
            with atomic_path(file) as partial:
                np.save(partial, table)
        return True

    def judged(self, unit: str) -> list[dict]:
        """The rows of a unit, near duplicates rejected too."""
        number, rows = self.source.units.index(unit), self.rows(unit)
        file = self.out / 'duplicates.npy'
        if not file.is_file():
            raise FileNotFoundError(f'{file} is not there yet: run the step deduplicate first')
        ends = np.load(self.out / 'duplicates_ends.npy', mmap_mode='r')
        first, last = int(ends[number - 1]) if number else 0, int(ends[number])
        packed = np.load(file, mmap_mode='r')[first // 8:-(-last // 8)]  # 8 pictures in a byte
        duplicate = np.unpackbits(packed)[first % 8:][:last - first]
        good = [row for row in rows if not row['rejected']]
        for row, again in zip(good, duplicate):
            if again:
                row['rejected'] = 'duplicate'
        return rows

    def write(self, unit: str) -> bool:
        """Write the shard and the sidecar of a unit; False if that was done before."""
        sidecar = self.out / 'shards' / f'{unit}.jsonl'
        if sidecar.is_file():
            return False
        _sweep(sidecar)
        good = {row['path']: row for row in self.judged(unit) if not row['rejected']}
        lines = []
        with atomic_path(self.out / 'shards' / f'{unit}.tar') as partial:
            with tarfile.open(partial, 'w', format=tarfile.PAX_FORMAT) as tar:
                for number, (key, content) in enumerate(self.source.read(unit, good.__contains__)):
                    row = good.get(key)
                    if row is None or content is None:
                        continue
                    name, ending = f'{unit.replace(".", "_")}-{number:06d}', os.path.splitext(key)[1].lower()
                    member = tarfile.TarInfo(name + (ending if ending in PICTURES else _ending(content)))
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
                    row = {**row, 'path': name, 'source': key}
                    del row['rejected']
                    lines.append(json.dumps(row) + '\n')
        with atomic_path(sidecar) as partial:  # the last, as the sign that both are there
            partial.write_text(''.join(lines))
        return True

    def report(self, samples: int = 12) -> dict:
        """Write ``report.md`` with its pictures, and the index of the shards; returns the counts."""
        reasons, people, sides, shards = Counter(), Counter(), [], []
        examples: dict[str, list[tuple[str, dict]]] = {}
        for unit in self.source.units:
            kept = 0
            for row in self.judged(unit):
                reason = row['rejected'] or 'kept'
                reasons[reason] += 1
                found = examples.setdefault(reason, [])
                if reason != 'unreadable' and len(found) < samples:
                    found.append((unit, row))
                if row['rejected'] is None:
                    kept += 1
                    people[row['people']] += 1
                    sides += [min(x2 - x1, y2 - y1) for (x1, y1, x2, y2), score in zip(row['boxes'], row['scores'])
                              if score > self.quality.min_score]
            shards.append((f'{unit}.tar', kept))
        write_shard_index(self.out / 'shards', shards)
        total = sum(reasons.values())
        lines = ['# Curation report', '', f'{total} pictures of `{self.source.root}` looked at, {reasons["kept"]} kept '
                 f'({reasons["kept"] / max(total, 1):.1%}) in {len(shards)} shards.', '']
        lines += _table('Outcome', reasons.most_common(), total)
        lines += _table('People in a kept picture', sorted(people.items()), reasons['kept'])
        edges = [0, 300, 400, 600, 800, 1200, 1600, 2400, np.inf]
        counts = np.histogram(sides, edges)[0]
        lines += _table('Shorter side of a person in kept pictures, pixels', [
            (f'{a:.0f} to {b:.0f}' if b < np.inf else f'over {a:.0f}', int(c))
            for a, b, c in zip(edges, edges[1:], counts)], len(sides))
        for reason in sorted(examples, key=lambda r: (r != 'kept', r)):
            if examples[reason]:
                name = f'report/{reason.replace(" ", "_").replace("/", "_")}.jpg'
                with atomic_path(self.out / name) as partial:
                    cv2.imwrite(str(partial), self._sheet(examples[reason]))
                lines += [f'## {reason}', '', f'![{reason}]({name})', '']
        with atomic_path(self.out / 'report.md') as partial:
            partial.write_text('\n'.join(lines))
        return dict(reasons)

    def _sheet(self, examples: list[tuple[str, dict]], side: int = 200) -> np.ndarray:
        """Small pictures with their boxes, four in a row."""
        sheet = np.full((-(-len(examples) // 4) * side, 4 * side, 3), 255, np.uint8)
        for i, (unit, row) in enumerate(examples):
            _, content = next(self.source.read(unit, row['path'].__eq__))
            image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
            for (x1, y1, x2, y2), score in zip(row['boxes'], row['scores']):
                if score > 0.3:
                    colour = (0, 200, 0) if score > self.quality.min_score else (0, 0, 220)
                    cv2.rectangle(image, (int(x1), int(y1)), (int(x2), int(y2)), colour, max(2, max(image.shape) // 100))
            scale = side / max(image.shape[:2])
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:side, :side]
            sheet[i // 4 * side:i // 4 * side + small.shape[0], i % 4 * side:i % 4 * side + small.shape[1]] = small
        return sheet


def _sweep(target: Path) -> None:
    """Remove what a kill has left of a unit's files."""
    for partial in target.parent.glob(f'.{target.stem}.*.partial.*'):
        partial.unlink(missing_ok=True)


def _ending(content: bytes) -> str:
    return '.png' if content.startswith(b'\x89PNG') else '.jpg'


def _table(title: str, counts: list[tuple], total: int) -> list[str]:
    return [f'## {title}', '', '| | pictures | share |', '|---|---|---|',
            *(f'| {name} | {count} | {count / max(total, 1):.1%} |' for name, count in counts), '']
