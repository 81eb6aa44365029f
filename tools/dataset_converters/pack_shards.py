"""Pack pictures into tar shards as WebDataset has them: python tools/dataset_converters/pack_shards.py ROOT OUT."""
import argparse
import os
import shutil
import sys
from pathlib import Path

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.cli import UserError, run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Pack pictures into tar shards')
    parser.add_argument('root', help='folder of pictures')
    parser.add_argument('out', help='new folder for the shards')
    parser.add_argument('--ann-file', default='', help='list of paths or sidecar (.txt, .parquet, .jsonl), relative to ROOT')
    parser.add_argument('--quality', action='store_true', help="keep what passes the paper's filter of a sidecar")
    parser.add_argument('--samples-per-shard', type=int, default=5000)
    parser.add_argument('--seed', type=int, default=0, help='of the shuffling; pictures of a folder should not end in one shard')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    out = Path(args.out)
    if out.exists():
        raise UserError(f'{out} is there already; give a new folder')
    if args.samples_per_shard < 1:
        raise UserError(f'--samples-per-shard has to be 1 at least, got {args.samples_per_shard}')
    import numpy as np

    from sapiens_mm.pretrain.dataset import HumanImages
    from sapiens_mm.pretrain.order import Permutation
    from sapiens_mm.pretrain.shards import ShardWriter, picture_ending, split_name
    dataset = HumanImages(args.root, args.ann_file, quality={} if args.quality else None)
    building = out.with_name(f'{out.name}.partial')  # takes its name when all shards are there
    shutil.rmtree(building, ignore_errors=True)
    writer = ShardWriter(building, args.samples_per_shard)
    lost: list[str] = []
    order = Permutation(len(dataset), (args.seed, ))
    for place in range(len(dataset)):
        path = dataset.index[int(order(np.array([place]))[0])]
        # A number in front keeps names apart that differ behind the first dot or in the ending only.
        key = f'{place:09d}_{split_name(path)[0].replace("/", "_")}'
        try:
            content = Path(args.root, path).read_bytes()
        except OSError:
            lost.append(path)
            continue
        writer.write(key, {picture_ending(path, content): content})
    if len(lost) == len(dataset):
        raise UserError(f'none of the {len(lost)} files can be read, the first is {Path(args.root, lost[0])}; paths are relative '
                        'to ROOT')
    writer.close()
    os.replace(building, out)
    print(f'{len(dataset) - len(lost)} pictures in {len(writer.shards)} shards in {out}')
    if lost:
        print(f'{len(lost)} files could not be read, among them {", ".join(lost[:4])}', file=sys.stderr)


if __name__ == '__main__':
    run_tool(main)
