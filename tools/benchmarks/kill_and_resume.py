"""Kill a streamed pre-training at random moments, resume it each time, and account for every sample.

    python tools/benchmarks/kill_and_resume.py --kills 10

Makes its own small pictures and model. Prints what happened; exit code 1 if a sample was left out, came twice beyond what fills the
last batches, a checkpoint was not whole, or the loss did not go on falling.
"""
from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.cli import UserError, run_tool

CONFIG = Path(__file__).resolve().parents[2] / 'configs/pretrain/mae_sapiens-tiny_1xb32-coslr-100e_humans-192px.py'
BATCH = 4


def make_shards(directory: Path, samples: int) -> None:
    """Shards of small pictures, a waving pattern each."""
    import numpy as np
    from PIL import Image

    from sapiens_mm.pretrain.shards import ShardWriter
    rng = np.random.default_rng(0)
    writer = ShardWriter(directory, samples_per_shard=samples // 7)
    y, x = np.mgrid[:64, :64] / 64
    for i in range(samples):
        waves = [np.sin(rng.uniform(2, 9) * x + rng.uniform(2, 9) * y + phase) for phase in rng.uniform(0, 6, 3)]
        buffer = io.BytesIO()
        Image.fromarray((127 + 120 * np.stack(waves, -1)).astype(np.uint8)).save(buffer, 'JPEG')
        writer.write(f'{i:06d}', {'.jpg': buffer.getvalue()})
    writer.close()


def train(work_dir: Path, data: Path, num_workers: int, interval: int) -> None:
    """The run that is killed: one epoch, resumed from the last checkpoint; each iteration leaves a line in trace.jsonl."""
    from mmengine.config import Config
    from mmengine.hooks import Hook
    from mmengine.runner import Runner

    from sapiens_mm.engine.checkpoint import latest_checkpoint

    class Trace(Hook):
        """Write down what was trained on."""

        def before_train(self, runner) -> None:
            self._write(start=runner.iter)

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
            self._write(iter=runner.iter, loss=outputs['loss'].item(),
                        samples=[sample.img_path.rpartition('/')[2] for sample in data_batch['data_samples']])

        def after_train(self, runner) -> None:
            self._write(finished=True)

        @staticmethod
        def _write(**line) -> None:
            with open(work_dir / 'trace.jsonl', 'a') as file:
                file.write(json.dumps(line) + '\n')

    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(dict(
        model=dict(backbone=dict(img_size=64), neck=dict(num_patches=16)), work_dir=str(work_dir),
        train_cfg=dict(max_epochs=1), train_dataloader=dict(
            batch_size=BATCH, num_workers=num_workers, persistent_workers=num_workers > 0,
            batch_sampler=dict(type='sapiens_mm.StreamBatchSampler'),
            dataset=dict(_delete_=True, type='sapiens_mm.ShardedHumanImages', data_root=str(data), shuffle_buffer=50,
                         pipeline=cfg.train_dataloader.dataset.pipeline)),
        default_hooks=dict(checkpoint=dict(interval=interval, by_epoch=False), logger=dict(interval=1000)),
        auto_scale_lr=dict(enable=False), log_level='WARNING'))
    cfg.train_dataloader.pop('drop_last')
    cfg.train_dataloader.dataset.pipeline[0].scale = 64
    cfg.param_scheduler = []
    cfg.resume, cfg.load_from = True, latest_checkpoint(str(work_dir))
    runner = Runner.from_cfg(cfg)
    runner.register_hook(Trace(), priority='LOWEST')
    runner.train()


def read_trace(path: Path) -> list[dict]:
    """Whole lines of a trace; a kill may have cut the last one short, and the next run's first line goes on in it."""
    lines = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        for start in range(len(line)):
            try:
                lines.append(json.loads(line[start:]))
                break
            except json.JSONDecodeError:
                continue
    return lines


def check_checkpoints(work_dir: Path) -> int:
    """Number of checkpoints; raises where one is not whole."""
    from sapiens_mm.engine.checkpoint import read_state_dict
    files = list(work_dir.glob('*.pth'))
    for file in files:
        read_state_dict(str(file))
    return len(files)


def run_and_kill(command: list[str], work_dir: Path, kills: int, rng: random.Random, per_life: float) -> None:
    """Start the run ``kills + 1`` times; kill all but the last, with its loader's workers, some iterations into it."""
    for life in range(kills + 1):
        with open(work_dir / 'log.txt', 'a') as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        before = len(read_trace(work_dir / 'trace.jsonl'))
        goal = before + 1 + rng.uniform(1, 2 * per_life) if life < kills else float('inf')
        while process.poll() is None and len(read_trace(work_dir / 'trace.jsonl')) < goal:
            time.sleep(0.02)
        if process.poll() is None:
            time.sleep(rng.uniform(0, 0.2))
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.returncode not in (0, -signal.SIGKILL):
            raise UserError(f'the run failed; see {work_dir / "log.txt"}')
        print(f'life {life + 1}: {"killed" if process.returncode else "ended"} after '
              f'{len(read_trace(work_dir / "trace.jsonl")) - before} lines, {check_checkpoints(work_dir)} whole checkpoints',
              flush=True)
        if process.returncode == 0:
            return


def account(trace: list[dict]) -> tuple[list[str], list[float], int]:
    """Samples that the final weights were trained on, their losses, and the number of starts."""
    kept: dict[int, dict] = {}
    starts = 0
    for line in trace:
        if 'start' in line:
            starts += 1
            kept = {i: entry for i, entry in kept.items() if i < line['start']}  # forgotten with the weights
        elif 'iter' in line:
            kept[line['iter']] = line
    assert sorted(kept) == list(range(len(kept)))
    return sum((kept[i]['samples'] for i in sorted(kept)), []), [kept[i]['loss'] for i in sorted(kept)], starts


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Kill a streamed pre-training at random moments and account for every sample')
    parser.add_argument('--kills', type=int, default=10)
    parser.add_argument('--samples', type=int, default=800)
    parser.add_argument('--num-workers', type=int, default=2)
    parser.add_argument('--interval', type=int, default=3, help='iterations between checkpoints')
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    parser.add_argument('--work-dir', help='new folder to keep everything in; a temporary one by default')
    parser.add_argument('--child', action='store_true', help=argparse.SUPPRESS)
    return parser.parse_args()


def run(args: argparse.Namespace, work_dir: Path) -> int:
    """Do all of it in a new folder."""
    make_shards(work_dir / 'data', args.samples)
    command = [sys.executable, __file__, '--child', '--work-dir', str(work_dir), '--num-workers', str(args.num_workers),
               '--interval', str(args.interval)]
    run_and_kill(command, work_dir, args.kills, random.Random(args.seed), args.samples / BATCH / (args.kills + 1) / 2)
    trace = read_trace(work_dir / 'trace.jsonl')
    samples, losses, starts = account(trace)
    missing = args.samples - len(set(samples))
    twice = len(samples) - len(set(samples))
    bound = starts * max(args.num_workers, 1) * BATCH
    quarter = max(len(losses) // 4, 1)
    first, last = (sum(part) / len(part) for part in (losses[:quarter], losses[-quarter:]))
    finished = any('finished' in line for line in trace)
    print(f'{starts} starts, finished: {finished}; {len(samples)} samples trained on: {missing} left out, {twice} twice '
          f'(at most {bound} fill last batches); mean loss {first:.4f} in the first quarter, {last:.4f} in the last')
    return 0 if finished and not missing and twice <= bound and last < first else 1


def main() -> int:
    args = parse_args()
    if args.child:
        work_dir = Path(args.work_dir)
        train(work_dir, work_dir / 'data', args.num_workers, args.interval)
        return 0
    if args.work_dir is None:
        with tempfile.TemporaryDirectory() as folder:
            return run(args, Path(folder))
    if Path(args.work_dir).exists():
        raise UserError(f'{args.work_dir} is there already; give a new folder')
    Path(args.work_dir).mkdir(parents=True)
    return run(args, Path(args.work_dir))


if __name__ == '__main__':
    run_tool(main)
