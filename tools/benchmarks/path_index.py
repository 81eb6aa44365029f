"""What an index of very many paths costs: python tools/benchmarks/path_index.py --paths 10000000.

Writes a list file of that many made-up paths, builds the index, starts from the cache in a new process, and forks workers that read
random paths.
"""
from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.cli import run_tool

_START = """
import time, sys
import sapiens_mm
from sapiens_mm.pretrain.dataset import HumanImages
from sapiens_mm.pretrain.sampler import ResumableSampler
start = time.perf_counter()
dataset = HumanImages(sys.argv[1], 'list.txt')
built = time.perf_counter()
next(iter(ResumableSampler(dataset, seed=0)))
print(len(dataset), built - start, time.perf_counter() - built)
"""


def own_memory() -> float:
    """MB that belong to this process alone and that the kernel cannot drop: pages of mapped files can be read again."""
    lines = Path('/proc/self/smaps_rollup').read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith('Private_Dirty')) / 1024


def worker(dataset, reads: int, seed: int, queue) -> None:
    """Read random paths; report the memory that it took."""
    import numpy as np
    where = np.random.default_rng(seed).integers(len(dataset), size=reads).tolist()
    before, start = own_memory(), time.perf_counter()
    for i in where:
        dataset.get_data_info(i)
    queue.put((own_memory() - before, (time.perf_counter() - start) / reads * 1e6))


def write_list(path: Path, count: int) -> None:
    """Paths of about 45 bytes, as a crawler would name its files."""
    with open(path, 'w') as file:
        for first in range(0, count, 100_000):
            file.write(''.join(f'part{i // 1_000_000:04d}/{i // 1000 % 1000:03d}/{i * 2654435761 % 2**64:016x}_{i:09d}.jpg\n'
                               for i in range(first, min(first + 100_000, count))))


def main() -> None:
    parser = argparse.ArgumentParser(description='Measure the index of paths')
    parser.add_argument('--paths', type=int, default=10_000_000)
    parser.add_argument('--workers', type=int, default=4)
    parser.add_argument('--reads', type=int, default=100_000, help='random paths that each worker reads')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_list(Path(folder) / 'list.txt', args.paths)
        times = []
        for _ in range(2):
            out = subprocess.run([sys.executable, '-c', _START, folder], check=True, capture_output=True, text=True).stdout
            times.append([float(x) for x in out.split()[-2:]])
        from sapiens_mm.pretrain.dataset import HumanImages
        dataset = HumanImages(folder, 'list.txt')
        size = sum(f.stat().st_size for f in Path(folder, '.sapiens_mm_index').rglob('*') if f.is_file())
        context = multiprocessing.get_context('fork')
        queue = context.Queue()
        processes = [context.Process(target=worker, args=(dataset, args.reads, i, queue)) for i in range(args.workers)]
        for process in processes:
            process.start()
        took = [queue.get() for _ in processes]
        for process in processes:
            process.join()
    print(f'{args.paths} paths, {os.uname().machine}\n')
    print('| what | figure |\n|---|---|')
    print(f'| build the index from the list, once | {times[0][0]:.1f} s |')
    print(f'| start from the cache | {times[1][0]:.3f} s |')
    print(f'| first index of a shuffled epoch | {times[1][1] * 1e3:.1f} ms |')
    print(f'| index on disk, shared through the page cache | {size / 1e6:.0f} MB ({size / args.paths:.0f} bytes per path) |')
    print(f'| own memory of each of {args.workers} workers after {args.reads} random reads | '
          f'{max(memory for memory, _ in took):.1f} MB |')
    print(f'| one random path | {max(us for _, us in took):.1f} us |')


if __name__ == '__main__':
    run_tool(main)
