#!/usr/bin/env python
"""Render a data set of toy humans in the layouts of the real data sets.

Example: python tools/dataset_converters/make_toy_dataset.py data/toy --num-train 400 --num-val 100 --workers 2
"""
from __future__ import annotations

import argparse
import os
import sys
import time

os.environ.setdefault('OMP_NUM_THREADS', '1')  # the matrices are 3 x 3: more threads only wait for each other


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', help='folder to make')
    parser.add_argument('--num-train', type=int, default=400, help='training pictures (default 400)')
    parser.add_argument('--num-val', type=int, default=100, help='validation pictures (default 100)')
    parser.add_argument('--size', type=int, nargs=2, default=(256, 192), metavar=('H', 'W'), help='default 256 192')
    parser.add_argument('--persons', type=int, nargs=2, default=(1, 1), metavar=('MIN', 'MAX'), help='default 1 1')
    parser.add_argument('--variety', type=float, default=1.0,
                        help='0 to 1: from whole people who stand upright and face us to every pose and view (default 1)')
    parser.add_argument('--framing', choices=['mixed', 'whole', 'cut', 'upper', 'head'], default='mixed',
                        help='what a picture shows of a person (default: a mixture)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1, help='processes (default: all cores)')
    parser.add_argument('--no-dense', action='store_true', help='write no parts, masks, depth and normals')
    parser.add_argument('--overwrite', action='store_true', help='replace a toy data set of other arguments')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from sapiens_mm.toy.dataset import make_toy_dataset
    start = time.time()
    try:
        out = make_toy_dataset(args.out, args.num_train, args.num_val, args.size, args.persons, args.seed, args.workers,
                               not args.no_dense, args.overwrite, variety=args.variety, framing=args.framing)
    except (ValueError, OSError) as error:
        sys.exit(f'make_toy_dataset: {error}')
    print(f'{out}: {args.num_train} training and {args.num_val} validation pictures ({time.time() - start:.0f} s)')


if __name__ == '__main__':
    main()
