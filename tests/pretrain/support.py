"""Pictures and shards for the tests of this room."""
import io
from pathlib import Path

import numpy as np
from PIL import Image

from sapiens_mm.pretrain.shards import ShardWriter


def picture(number: int, size=(48, 40), kind: str = 'JPEG', **kwargs) -> bytes:
    """A smooth picture of (W, H) as a file; ``number`` can be read off its mean colour."""
    x, y = np.meshgrid(np.linspace(0, 20, size[0]), np.linspace(0, 20, size[1]))
    channels = [number % 16 * 12 + 20 + x, number // 16 % 16 * 12 + 20 + y, 60 + x + y]
    buffer = io.BytesIO()
    Image.fromarray(np.stack(channels, -1).astype(np.uint8)).save(buffer, kind, **({'quality': 95} if kind == 'JPEG' else {}),
                                                                  **kwargs)
    return buffer.getvalue()


def write_shards(directory: Path, count: int = 60, per_shard: int = 13, bad=(), index: bool = True) -> None:
    """Shards of small pictures; sample ``NNNN`` holds :func:`picture` number N, or a broken file."""
    writer = ShardWriter(directory, per_shard)
    for i in range(count):
        content = picture(i)
        writer.write(f'{i:04d}', {'.jpg': content[:len(content) // 2] if i in bad else content, '.json': b'{}'})
    writer.close()
    if not index:
        (directory / 'shards.json').unlink()
