"""Quality sidecars: what is known about each picture, beside the pictures, and which of them are good enough."""
from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

COLUMNS = ('path', 'boxes', 'scores', 'flags')


def read_sidecar(path: str | Path) -> Iterator[dict]:
    """Rows of a sidecar in order, without holding more than a batch of them.

    Args:
        path: ``.jsonl`` with one object per line, or ``.parquet`` (needs pyarrow: ``pip install sapiens_mm[pretrain]``). A row
            has ``path`` (relative to the data, or a sample's key in its shard), ``boxes`` ([[x1, y1, x2, y2], ...], persons, in
            pixels), ``scores`` (one per box, 0 to 1), and optionally ``flags`` (list of words) and more.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Another kind of file, or a row that is not as described.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no sidecar at {path}; give a .parquet or .jsonl file with the columns path, boxes, scores')
    for number, row in enumerate(_parquet(path) if path.suffix == '.parquet' else _json_lines(path), 1):
        if not isinstance(row, dict) or not isinstance(row.get('path'), str) or not all(
                isinstance(row.get(c), (list, tuple)) for c in ('boxes', 'scores')) or len(row['boxes']) != len(row['scores']):
            raise ValueError(f'{path}, row {number}: expected path (text), boxes ([[x1, y1, x2, y2], ...]) and as many scores, '
                             f'got {str(row)[:120]}')
        yield row


def _json_lines(path: Path) -> Iterator[dict]:
    if path.suffix not in ('.jsonl', '.json'):
        raise ValueError(f'{path} is neither .parquet nor .jsonl')
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise ValueError(f'{path}, line {number} is not json: {error}') from None


def _parquet(path: Path) -> Iterator[dict]:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise ValueError(f'{path} needs pyarrow: pip install pyarrow, or give a .jsonl file') from None
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=4096):
            yield from batch.to_pylist()


class QualityFilter:
    """Which pictures are good enough: one person at least that is detected with certainty and large.

    The defaults are the paper's (Khirodkar et al., ECCV 2024, section 3.1).

    Args:
        min_score: A person's box counts when its score is above that.
        min_side: and both of its sides are longer than that, in pixels.
        max_people: Pictures with more such boxes are left out; None for no limit.
        reject_flags: Pictures with one of these flags are left out.
    """

    def __init__(self, min_score: float = 0.9, min_side: float = 300, max_people: int | None = None,
                 reject_flags: Sequence[str] = ()):
        self.min_score, self.min_side, self.max_people = min_score, min_side, max_people
        self.reject_flags = frozenset([reject_flags] if isinstance(reject_flags, str) else reject_flags)

    def people(self, row: dict) -> int:
        """Number of boxes that count."""
        return sum(score > self.min_score and min(x2 - x1, y2 - y1) > self.min_side
                   for (x1, y1, x2, y2), score in zip(row['boxes'], row['scores']))

    def __call__(self, row: dict) -> bool:
        """Whether the picture of a sidecar's row stays."""
        if self.reject_flags.intersection(row.get('flags') or ()):
            return False
        return 0 < self.people(row) <= (self.max_people or float('inf'))
