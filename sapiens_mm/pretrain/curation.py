"""From a pile of pictures to shards of pictures of people (Sapiens, Khirodkar et al., ECCV 2024, section 3.1).

Four steps, each of which leaves files that are either there whole or not at all, so that whatever was interrupted is done again and
nothing else is:

1. ``detect``, for each unit of the source (a shard, or some thousand paths): ``hashes/UNIT.npy``, then ``rows/UNIT.jsonl`` with a
   row for each picture.
2. ``deduplicate``, once: ``duplicates.npy``, which pictures look like an earlier one.
3. ``write``, for each unit: ``shards/UNIT.tar`` with the pictures that stay, ``counts/UNIT.json`` for the report, then the sidecar
   ``shards/UNIT.jsonl``.
4. ``report``, once: ``report.md`` and ``shards/shards.json``.
"""
from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from glob import escape
from importlib import import_module
from itertools import combinations
from math import comb
from pathlib import Path

import cv2
import numpy as np

from sapiens_mm.engine.atomic_file import atomic_path
from sapiens_mm.engine.bad_samples import is_cut_off
from sapiens_mm.pretrain.dataset import HumanImages
from sapiens_mm.pretrain.shards import picture_ending, read_pictures, write_shard_index
from sapiens_mm.pretrain.sidecar import QualityFilter

Detector = Callable[[list[np.ndarray]], list[tuple[np.ndarray, np.ndarray]]]
_BITS = np.array([bin(i).count('1') for i in range(2**16)], np.uint8)
_PAIRS = 2**22  # that are compared at once
_SIDES = (0, 100, 200, 300, 400, 600, 800, 1200, 1600, 2400)  # bounds of the report's table, pixels
_EXAMPLES = 12  # pictures of each kind in the report


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
        min_score: Boxes below that are not kept: there are hundreds on each picture.
    """

    def __init__(self, model: str = 'rtmdet-m', weights: str | None = None, device: str = 'cpu', label: int = 0,
                 min_score: float = 0.3):
        try:
            from mmdet.apis import DetInferencer
        except ImportError:
            raise ValueError('RTMDetPerson needs mmdet: pip install mmdet==3.3.0; or name another detector in the config') from None
        self.label, self.min_score = label, min_score
        self.inferencer = DetInferencer(model, weights, device=device, show_progress=False)

    def __call__(self, images: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Boxes (N, 4), x1 y1 x2 y2 in pixels, and scores (N,) of each BGR picture."""
        out = []
        samples = self.inferencer(images, batch_size=len(images), return_datasamples=True, no_save_vis=True)['predictions']
        for image, sample in zip(images, samples):
            found = sample.pred_instances
            people = found[(found.labels == self.label) & (found.scores >= self.min_score)]
            # Boxes may reach into the padding, which would make people larger than they are.
            corner = np.array(image.shape[1::-1] * 2, np.float32)
            out.append((people.bboxes.cpu().numpy().clip(0, corner), people.scores.cpu().numpy()))
        return out


def perceptual_hash(image: np.ndarray) -> int:
    """64 bits that hardly change when a picture is resized, recompressed or brightened: signs of its low frequencies."""
    small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), 'big')


def find_duplicates(hashes: np.ndarray, max_distance: int) -> np.ndarray:
    """Which hashes differ from an earlier one in ``max_distance`` bits at most: (N,) uint64 -> (N,) bool.

    Cut into P parts, two such hashes agree in P - ``max_distance`` of them at least, so only those that share so many parts are
    compared. Needs some 50 bytes a hash.
    """
    values, first = np.unique(hashes, return_index=True)
    duplicate = np.ones(len(hashes), bool)
    duplicate[first] = False
    if not max_distance:
        return duplicate
    first.sort()
    values = hashes[first]  # each once, in order of appearance
    for key in _shared_parts(values, max_distance):
        order = np.argsort(key, kind='stable')  # of one key, the earlier first
        key = key[order]
        here, step = np.flatnonzero(key[1:] == key[:-1]), 1
        while len(here):
            for pairs in np.array_split(here, -(-len(here) // _PAIRS)):
                earlier, later = order[pairs], order[pairs + step]
                different = (values[earlier] ^ values[later]).view(np.uint16)
                near = _BITS[different].reshape(-1, 4).sum(1) <= max_distance
                duplicate[first[later[near]]] = True
            step += 1
            here = here[here + step < len(key)]
            here = here[key[here] == key[here + step]]
    return duplicate


def _shared_parts(values: np.ndarray, max_distance: int) -> Iterator[np.ndarray]:
    """For each choice of parts in which two near hashes may agree, the bits of those parts."""

    def cost(parts: int) -> float:
        agree = parts - max_distance
        # Sorting, and pairs that agree by chance. Hashes of real pictures are not spread evenly: three quarters of the bits count.
        return comb(parts, agree) * (30 * len(values) + len(values)**2 / 2**(0.75 * 64 * agree / parts + 1))

    parts = min(range(max_distance + 1, max_distance + 5), key=cost)
    masks = [np.uint64(sum(1 << int(bit) for bit in bits)) for bits in np.array_split(np.arange(64), parts)]
    for chosen in combinations(masks, parts - max_distance):
        yield values & np.bitwise_or.reduce(chosen)


def decode(content: bytes | None) -> np.ndarray | None:
    """A picture file's content as (H, W, 3) BGR, upright; None where it cannot be decoded or ends early."""
    if not content or is_cut_off(content):
        return None
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # such as a picture of more pixels than OpenCV takes
        return None


DAMAGED = '(the rest of a damaged shard)'


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
        self.place_of = {unit: place for place, unit in enumerate(self.units)}

    def fingerprint(self) -> str:
        """Changes when pictures or shards come or go."""
        digest = hashlib.sha256(f'{len(self.shards)} {self.unit_size}'.encode())
        for shard in self.shards:
            digest.update(f'{shard.name} {shard.stat().st_size}'.encode(errors='surrogateescape'))
        if self.index is not None:
            digest.update(f'{len(self.index)} {self.index.size}'.encode())
        return digest.hexdigest()[:16]

    def read(self, unit: str, wanted: Callable[[int], bool] = lambda number: True) -> Iterator[tuple[int, str, bytes | None]]:
        """Number in the unit, name and content of its pictures, in order; no content for those that cannot be read.

        A shard that is damaged ends with one more that stands for all that cannot be reached.
        """
        place = self.place_of[unit]
        if self.shards:
            following = 0
            try:
                for number, key, content in read_pictures(self.shards[place], lambda number, key: wanted(number)):
                    following = number + 1
                    yield number, key, content
            except (tarfile.ReadError, OSError):
                yield following, DAMAGED, None
            return
        start = place * self.unit_size
        for number in range(min(self.unit_size, len(self.index) - start)):
            if wanted(number):
                path = self.index[start + number]
                try:
                    yield number, path, (self.root / path).read_bytes()
                except OSError:
                    yield number, path, None


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
            source=os.path.abspath(source.root), pictures=source.fingerprint(), detector=self._detector_cfg, quality=quality or {},
            filters=self._filter_cfgs, max_distance=max_distance, batch_size=batch_size), default=str))
        file = self.out / 'settings.json'
        if file.is_file():
            kept = json.loads(file.read_text())
            changed = [key for key in settings if kept.get(key) != settings[key]]
            if changed:
                raise ValueError(f'{out} was begun with other {", ".join(changed)}; give a new folder, or what {file} says')
        else:
            try:
                with atomic_path(file) as partial:
                    partial.write_text(json.dumps(settings, indent=1))
            except FileNotFoundError:  # another job, with the same process number on its machine, was faster
                if not file.is_file():
                    raise

    def detect(self, unit: str) -> bool:
        """Look at the pictures of a unit; False if that was done before."""
        target = self.out / 'rows' / f'{unit}.jsonl'
        if target.is_file():
            return False
        _sweep(target)
        _sweep(self._hash_file(unit))
        if self._detector is None:
            self._detector = build_callable(self._detector_cfg)
            self._filters = [build_callable(cfg) for cfg in self._filter_cfgs]
        hashes: list[int] = []
        with atomic_path(target) as partial:
            with open(partial, 'w') as file:
                waiting: list[tuple[str, np.ndarray | None]] = []
                for _, key, content in self.source.read(unit):
                    waiting.append((key, decode(content)))
                    if len(waiting) == self.batch_size:
                        hashes += self._write_rows(file, waiting)
                        waiting = []
                hashes += self._write_rows(file, waiting)
                file.flush()
                os.fsync(file.fileno())
            with atomic_path(self._hash_file(unit)) as hash_file:
                np.save(hash_file, np.array(hashes, np.uint64))
        return True

    def _hash_file(self, unit: str) -> Path:
        return self.out / 'hashes' / f'{unit}.npy'

    def _write_rows(self, file, pictures: list[tuple[str, np.ndarray | None]]) -> list[int]:
        """Rows of some pictures; returns the hashes of those that are good."""
        readable = [image for _, image in pictures if image is not None]
        found = iter(self._detector(readable) if readable else ())
        hashes = []
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
                value = perceptual_hash(image)
                row['hash'] = f'{value:016x}'
                row['rejected'] = self._reason(row)
                hashes += [] if row['rejected'] else [value]
            file.write(json.dumps(row) + '\n')
        return hashes

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
        file = self._detected(unit, self.out / 'rows' / f'{unit}.jsonl')
        return [json.loads(line) for line in file.read_text().splitlines()]

    def _detected(self, unit: str, file: Path) -> Path:
        """A file of a unit that :meth:`detect` is done with."""
        rows = self.out / 'rows' / f'{unit}.jsonl'
        if not rows.is_file():
            raise FileNotFoundError(f'{rows} is not there yet: run the step detect on all units first')
        return file

    def deduplicate(self) -> bool:
        """Find near duplicates among all pictures that would stay; False if that was done before."""
        target = self.out / 'duplicates.npy'
        if target.is_file():
            return False
        _sweep(target)
        chunks = [np.load(self._detected(unit, self._hash_file(unit))) for unit in self.source.units]
        hashes = np.concatenate([np.zeros(0, np.uint64), *chunks])
        duplicate = np.zeros(len(hashes), bool) if self.max_distance is None else find_duplicates(hashes, self.max_distance)
        ends = np.cumsum([len(chunk) for chunk in chunks])
        for file, table in ((self.out / 'duplicates_ends.npy', ends), (target, np.packbits(duplicate))):
            with atomic_path(file) as partial:
                np.save(partial, table)
        return True

    def judged(self, unit: str) -> list[dict]:
        """The rows of a unit, near duplicates rejected too."""
        number, rows = self.source.place_of[unit], self.rows(unit)
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
        for file in (sidecar, self._count_file(unit)):
            _sweep(file)
        rows = self.judged(unit)
        lines = []
        with atomic_path(self.out / 'shards' / f'{unit}.tar') as partial:
            with tarfile.open(partial, 'w', format=tarfile.PAX_FORMAT) as tar:
                for number, key, content in self.source.read(unit, lambda n: n < len(rows) and not rows[n]['rejected']):
                    if content is None:  # readable when it was looked at, and not now
                        rows[number]['rejected'] = 'unreadable'
                        continue
                    if rows[number]['path'] != key:
                        raise ValueError(f'{self.source.root} has changed: picture {number} of {unit} was {rows[number]["path"]} '
                                         f'and is {key}. Give a new folder for the result')
                    name = f'{unit.replace(".", "_")}-{number:06d}'
                    member = tarfile.TarInfo(name + picture_ending(key, content))
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
                    row = {**rows[number], 'path': name, 'source': key}
                    del row['rejected']
                    lines.append(json.dumps(row) + '\n')
        with atomic_path(self._count_file(unit)) as partial:
            partial.write_text(json.dumps(self._counts(rows)))
        with atomic_path(sidecar) as partial:  # the last, as the sign that all are there
            partial.write_text(''.join(lines))
        return True

    def _count_file(self, unit: str) -> Path:
        return self.out / 'counts' / f'{unit}.json'

    def _counts(self, rows: list[dict]) -> dict:
        """What the report needs to know of a unit."""
        reasons, people, sides = Counter(), Counter(), []
        examples: dict[str, list] = {}
        for number, row in enumerate(rows):
            reason = row['rejected'] or 'kept'
            reasons[reason] += 1
            if reason != 'unreadable' and len(examples.setdefault(reason, [])) < _EXAMPLES:
                examples[reason].append((number, row['boxes'], row['scores']))
            if reason == 'kept':
                people[row['people']] += 1
                sides += [min(x2 - x1, y2 - y1) for (x1, y1, x2, y2), score in zip(row['boxes'], row['scores'])
                          if score > self.quality.min_score]
        return dict(reasons=reasons, people=people, sides=np.histogram(sides, [*_SIDES, np.inf])[0].tolist(), examples=examples)

    def report(self) -> dict:
        """Write ``report.md`` with its pictures, and the index of the shards; returns the counts."""
        reasons, people, sides = Counter(), Counter(), np.zeros(len(_SIDES), np.int64)
        shards, units_of = [], {}
        for unit in self.source.units:
            counts = self._written(unit)
            reasons.update(counts['reasons'])
            people.update({int(number): count for number, count in counts['people'].items()})
            sides += counts['sides']
            shards.append((f'{unit}.tar', counts['reasons'].get('kept', 0)))
            for reason in counts['examples']:
                units_of.setdefault(reason, []).append(unit)
        write_shard_index(self.out / 'shards', shards)
        total = sum(reasons.values())
        lines = ['# Curation report', '', f'{total} pictures of `{self.source.root}` looked at, {reasons["kept"]} kept '
                 f'({reasons["kept"] / max(total, 1):.1%}) in {len(shards)} shards.', '', self._describe(), '']
        lines += _table('Outcome', 'pictures', sorted(reasons.items(), key=lambda item: (-item[1], item[0])), total)
        lines += _table('People in a kept picture', 'pictures', sorted(people.items()), reasons['kept'])
        names = [f'{a} to {b}' for a, b in zip(_SIDES, _SIDES[1:])] + [f'over {_SIDES[-1]}']
        lines += _table('Shorter side of a person in kept pictures, pixels', 'people', list(zip(names, sides.tolist())),
                        int(sides.sum()))
        for reason in sorted(units_of, key=lambda r: (r != 'kept', r)):
            name = f'report/{re.sub("[^A-Za-z0-9-]+", "_", reason)}.jpg'
            with atomic_path(self.out / name) as partial:
                cv2.imwrite(str(partial), self._sheet(reason, units_of[reason]))
            lines += [f'## {reason}', '', f'![{reason}]({name})', '']
        with atomic_path(self.out / 'report.md') as partial:
            partial.write_text('\n'.join(lines))
        return dict(reasons)

    def _describe(self) -> str:
        """What decides, in a sentence or two."""
        q = self.quality
        at_most = f' and at most {q.max_people} of them' if q.max_people else ''
        filters = f', flagged by none of {", ".join(f["type"] for f in self._filter_cfgs)}' if self._filter_cfgs else ''
        copies = '' if self.max_distance is None else f', no hash within {self.max_distance} of 64 bits of an earlier one'
        return (f'Kept: a person with a score over {q.min_score} and both sides over {q.min_side} pixels{at_most}{filters}{copies}.'
                f' Detector: {self._detector_cfg["type"]}. In the samples, boxes of such people are green, those of smaller people '
                'yellow and those of lower scores red.')

    def _written(self, unit: str) -> dict:
        """The counts of a unit that :meth:`write` is done with."""
        sidecar = self.out / 'shards' / f'{unit}.jsonl'
        if not sidecar.is_file():
            raise FileNotFoundError(f'{sidecar} is not there yet: run the step write on all units first')
        return json.loads(self._count_file(unit).read_text())

    def _sheet(self, reason: str, units: list[str], side: int = 200) -> np.ndarray:
        """Small pictures with their boxes, four in a row, from all over the source."""
        tiles = []
        chosen = Counter(units[i] for i in np.linspace(0, len(units) - 1, _EXAMPLES).astype(int))
        for unit, count in chosen.items():
            examples = {number: (boxes, scores) for number, boxes, scores in self._written(unit)['examples'][reason][:count]}
            for number, _, content in self.source.read(unit, examples.__contains__):
                image = decode(content)
                if image is None:
                    continue
                for (x1, y1, x2, y2), score in zip(*examples[number]):
                    if score > 0.3:
                        large = min(x2 - x1, y2 - y1) > self.quality.min_side
                        colour = (0, 0, 220) if score <= self.quality.min_score else (0, 200, 0) if large else (0, 200, 255)
                        cv2.rectangle(image, (int(x1), int(y1)), (int(x2), int(y2)), colour, max(2, max(image.shape) // 100))
                scale = side / max(image.shape[:2])
                size = [max(1, round(n * scale)) for n in image.shape[1::-1]]
                tiles.append(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        sheet = np.full((max(1, -(-len(tiles) // 4)) * side, 4 * side, 3), 255, np.uint8)
        for i, tile in enumerate(tiles):
            sheet[i // 4 * side:i // 4 * side + tile.shape[0], i % 4 * side:i % 4 * side + tile.shape[1]] = tile
        return sheet


def _sweep(target: Path) -> None:
    """Remove what a kill has left of a unit's files."""
    for partial in target.parent.glob(f'.{escape(target.stem)}.*'):
        if re.fullmatch(re.escape(f'.{target.stem}.') + r'\d+\.partial\.\w+', partial.name):
            partial.unlink(missing_ok=True)


def _table(title: str, what: str, counts: list[tuple], total: int) -> list[str]:
    return [f'## {title}', '', f'| | {what} | share |', '|---|---|---|',
            *(f'| {name} | {count} | {count / max(total, 1):.1%} |' for name, count in counts), '']
