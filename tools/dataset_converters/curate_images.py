"""Choose pictures of people: python tools/dataset_converters/curate_images.py SOURCE OUT.

SOURCE is a folder tree, or a folder of tar shards; OUT gets shards/ with a sidecar for each, and report.md. Killed and
started again with the same arguments it goes on where it was, to the same result. On a cluster, an array of jobs shares the
units of a step; submit each line when the one before has ended, and the same line again where jobs of an array have failed:

    sbatch --array=0-99 --wrap 'python tools/dataset_converters/curate_images.py SOURCE OUT --steps detect'
    python tools/dataset_converters/curate_images.py SOURCE OUT --steps deduplicate
    sbatch --array=0-99 --wrap 'python tools/dataset_converters/curate_images.py SOURCE OUT --steps write'
    python tools/dataset_converters/curate_images.py SOURCE OUT --steps report
"""
from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.cli import UserError, read_config, run_tool
from sapiens_mm.pretrain.processes import process_pool

CONFIG = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets/pretrain_curation.py'
STEPS = ('detect', 'deduplicate', 'write', 'report')
_curator = None


def build_curator(source: str, out: str, settings: dict):
    """The curator of a process."""
    from sapiens_mm.pretrain.curation import Curator, Source
    settings = dict(settings)
    unknown = set(settings) - {'detector', 'quality', 'filters', 'max_distance', 'batch_size', 'unit_size'}
    if unknown or 'detector' not in settings:
        raise UserError('the config of a curation says detector, and optionally quality, filters, max_distance, batch_size and '
                        f'unit_size; got {", ".join(sorted(settings))}')
    return Curator(Source(source, settings.pop('unit_size', 2000), Path(out) / 'index'), out, **settings)


def start_worker(*args) -> None:
    """Called once in each local process."""
    global _curator
    _curator = build_curator(*args)


def work(job: tuple[str, str]) -> bool:
    """Do a step of a unit; False if it was done before."""
    step, unit = job
    return getattr(_curator, step)(unit)


def parse_args() -> argparse.Namespace:
    from mmengine.config import DictAction
    env = os.environ
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='folder tree of pictures, or folder of tar shards')
    parser.add_argument('out', help='folder for the result')
    parser.add_argument('--config', default=str(CONFIG), help='detector, quality, filters; see the default for what can be said')
    parser.add_argument('--steps', nargs='+', choices=STEPS, default=list(STEPS))
    parser.add_argument('--processes', type=int, default=1, help='local processes, each with a detector of its own')
    parser.add_argument('--num-jobs', type=int, default=int(env.get('SLURM_ARRAY_TASK_COUNT', 1)), help='jobs that share the units')
    parser.add_argument('--job-index', type=int, help='which of them this is, from 0')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override entries of the config')
    args = parser.parse_args()
    if args.job_index is None:
        first, step = int(env.get('SLURM_ARRAY_TASK_MIN', 0)), int(env.get('SLURM_ARRAY_TASK_STEP', 1))
        args.job_index = (int(env.get('SLURM_ARRAY_TASK_ID', first)) - first) // step
    return args


def main() -> None:
    args = parse_args()
    if not os.path.isdir(args.source):
        raise UserError(f'no folder {args.source}')
    if Path(args.source).resolve() in (Path(args.out).resolve(), *Path(args.out).resolve().parents):
        raise UserError(f'{args.out} lies in {args.source}: the result would become part of the source; give another folder')
    if not 0 <= args.job_index < args.num_jobs:
        raise UserError(f'job {args.job_index} of {args.num_jobs}: jobs are numbered from 0, and an array of Slurm has to be even, '
                        'such as --array=0-99')
    if args.num_jobs > 1 and not set(args.steps) <= {'detect', 'write'}:
        raise UserError('jobs share the steps detect and write only; run deduplicate and report alone, when all jobs have ended')
    cfg = read_config(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    setup = args.source, args.out, cfg.to_dict()
    curator = build_curator(*setup)
    units = curator.source.units[args.job_index::args.num_jobs]
    with process_pool(args.processes, 'spawn', start_worker, setup) if args.processes > 1 else _Here(setup) as pool:
        for step in args.steps:
            if step in ('detect', 'write'):
                done, said = [], time.monotonic()
                for new in pool.map(work, [(step, unit) for unit in units]):
                    done.append(new)
                    if time.monotonic() - said > 60:
                        said = time.monotonic()
                        print(f'{step}: {len(done)} of {len(units)} units', flush=True)
                print(f'{step}: {sum(done)} of {len(units)} units, {len(units) - sum(done)} were done before', flush=True)
            elif step == 'deduplicate':
                curator.deduplicate()
            else:
                counts = curator.report()
                print(', '.join(f'{count} {reason}' for reason, count in sorted(counts.items())))
                print(Path(args.out) / 'report.md')


class _Here:
    """The work in this process, with the interface of a pool."""

    def __init__(self, setup: tuple):
        start_worker(*setup)

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        pass

    def map(self, function, jobs):
        return map(function, jobs)


if __name__ == '__main__':
    run_tool(main)
