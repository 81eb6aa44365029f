"""Pack pictures into tar shards as WebDataset has them: python tools/dataset_converters/pack_shards.py ROOT OUT."""
import argparse
import os
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
    if Path(args.out).exists():
        raise UserError(f'{args.out} is there already; give a new folder')
    import numpy as np

    from sapiens_mm.pretrain.dataset import HumanImages
    from sapiens_mm.pretrain.order import Permutation
    from sapiens_mm.pretrain.shards import ShardWriter, split_name
    dataset = HumanImages(args.root, args.ann_file, quality={} if args.quality else None)
    writer = ShardWriter(args.out, args.samples_per_shard)
    order = Permutation(len(dataset), (args.seed, ))
    for place in range(len(dataset)):
        path = dataset.index[int(order(np.array([place]))[0])]
        # A number in front keeps names apart that differ behind the first dot or in the ending only.
        key = f'{place:09d}_{split_name(path)[0].replace("/", "_")}'
        content = Path(os.path.join(args.root, path)).read_bytes()
        writer.write(key, {os.path.splitext(path)[1].lower(): content})
    writer.close()
    print(f'{len(dataset)} pictures in {len(writer.shards)} shards in {args.out}')


if __name__ == '__main__':
    run_tool(main)
