"""Kill a pre-training at random moments, resume it each time, and account for every sample.

    python tools/benchmarks/kill_and_resume.py --kills 10
    python tools/benchmarks/kill_and_resume.py --kills 10 --data folder --processes 2 1 3

Makes its own small pictures and model, and trains with tools/train.py, several processes through tools/dist_train.sh. Prints what
happened; exit code 1 if a sample was left out, came twice beyond what fills the last batches, a checkpoint was not whole, or the
loss did not go on falling.
"""
from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.cli import UserError, run_tool

ROOT = Path(__file__).resolve().parents[2]
BATCH = 4
CONFIG = """# Written by tools/benchmarks/kill_and_resume.py
_base_ = [f'{root}/configs/_base_/{{base}}.py' for base in (
    'models/sapiens_mae', 'datasets/pretrain_{data}', 'schedules/pretrain_1600e', 'pretrain_runtime')]
model = dict(
    backbone=dict(
        arch=dict(embed_dims=96, num_layers=2, num_heads=3, feedforward_channels=192), img_size=64, with_cp=False),
    neck=dict(num_patches=16, embed_dim=96, decoder_embed_dim=48, decoder_depth=1, decoder_num_heads=3, with_cp=False))
train_pipeline = _base_.train_pipeline
train_pipeline[0].scale = 64
train_dataloader = dict(
    batch_size={batch}, num_workers={num_workers}, persistent_workers={num_workers} > 0, {drop_last}
    dataset=dict(data_root='data/', pipeline=train_pipeline))
optim_wrapper = dict(dtype=None, optimizer=dict(lr=1e-3))
train_cfg = dict(max_epochs=1)
param_scheduler = []
default_hooks = dict(checkpoint=dict(interval={interval}, by_epoch=False), logger=dict(interval=1000))
custom_hooks = _base_.custom_hooks + [dict(type='kill_and_resume.Trace', file='trace.jsonl')]
auto_scale_lr = dict(enable=False)
log_level = 'WARNING'
"""


class Trace(Hook):
    """Write down what was trained on, by all processes together: a line for each step, numbered through all lives."""

    priority = 'NORMAL'  # before the checkpoint: whatever that knows of is in the file

    def __init__(self, file: str):
        self.file, self.steps = file, 0

    def before_save_checkpoint(self, runner, checkpoint) -> None:
        checkpoint['trace_steps'] = self.steps

    def after_load_checkpoint(self, runner, checkpoint) -> None:
        self.steps = checkpoint['trace_steps']

    def before_train(self, runner) -> None:
        self._write(start=self.steps)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        names = [Path(sample.img_path).name.partition('.')[0] for sample in data_batch['data_samples']]
        everyone = all_gather_object((runner.iter, names))
        assert all(step == runner.iter for step, _ in everyone)
        self._write(step=self.steps, loss=outputs['loss'].item(), samples=[names for _, names in everyone])
        self.steps += 1

    def after_train(self, runner) -> None:
        self._write(finished=True)

    def _write(self, **line) -> None:
        if is_main_process():
            with open(self.file, 'a') as file:
                file.write(json.dumps(line) + '\n')


def make_data(directory: Path, samples: int, kind: str) -> None:
    """Small pictures, a waving pattern each, in shards or as files."""
    import numpy as np
    from PIL import Image

    from sapiens_mm.pretrain.shards import ShardWriter
    rng = np.random.default_rng(0)
    directory.mkdir(parents=True)
    writer = ShardWriter(directory, samples_per_shard=samples // 7) if kind == 'shards' else None
    y, x = np.mgrid[:64, :64] / 64
    for i in range(samples):
        waves = [np.sin(rng.uniform(2, 9) * x + rng.uniform(2, 9) * y + phase) for phase in rng.uniform(0, 6, 3)]
        buffer = io.BytesIO()
        Image.fromarray((127 + 120 * np.stack(waves, -1)).astype(np.uint8)).save(buffer, 'JPEG')
        if writer:
            writer.write(f'{i:06d}', {'.jpg': buffer.getvalue()})
        else:
            (directory / f'{i:06d}.jpg').write_bytes(buffer.getvalue())
    if writer:
        writer.close()


def start(work_dir: Path, processes: int, log) -> subprocess.Popen:
    """Begin or resume the run as a user would."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    arguments = ['config.py', '--work-dir', 'run', '--resume']
    command = [sys.executable, str(ROOT / 'tools/train.py'), *arguments] if processes == 1 else [
        'bash', str(ROOT / 'tools/dist_train.sh'), arguments[0], str(processes), *arguments[1:]]
    paths = [str(ROOT), str(Path(__file__).parent), *filter(None, [os.environ.get('PYTHONPATH')])]
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(paths), 'PYTHON': sys.executable, 'PORT': str(port)}
    env.setdefault('OMP_NUM_THREADS', '1')
    return subprocess.Popen(command, cwd=work_dir, env=env, stdout=log, stderr=log)


def kill_all(pid: int) -> None:
    """SIGKILL for a process and all below it: torchrun's are in sessions of their own."""
    below = Path(f'/proc/{pid}/task/{pid}/children')
    children = [int(child) for child in below.read_text().split()] if below.is_file() else []
    os.kill(pid, signal.SIGKILL)
    for child in children:
        try:
            kill_all(child)
        except (ProcessLookupError, FileNotFoundError):
            pass  # has ended meanwhile


def read_trace(path: Path) -> list[dict]:
    """Whole lines of a trace; a kill may have cut the last one short, and the next run's first line goes on in it."""
    lines = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        for first in range(len(line)):
            try:
                lines.append(json.loads(line[first:]))
                break
            except json.JSONDecodeError:
                continue
    return lines


def check_checkpoints(work_dir: Path) -> int:
    """Number of checkpoints; raises where one is not whole."""
    from sapiens_mm.engine.checkpoint import read_state_dict
    files = list((work_dir / 'run').glob('*.pth'))
    for file in files:
        read_state_dict(str(file))
    return len(files)


def run_and_kill(work_dir: Path, processes: list[int], kills: int, rng: random.Random, per_life: float) -> None:
    """Start the run ``kills + 1`` times; kill all but the last, with its loaders' workers, some iterations into it."""
    trace = work_dir / 'trace.jsonl'
    for life in range(kills + 1):
        number = processes[life % len(processes)]
        before = len(read_trace(trace))
        with open(work_dir / 'log.txt', 'a') as log:
            process = start(work_dir, number, log)
        goal = before + 1 + rng.uniform(1, 2 * per_life) / number if life < kills else float('inf')
        try:
            while process.poll() is None and len(read_trace(trace)) < goal:
                time.sleep(0.02)
            if process.poll() is None:
                time.sleep(rng.uniform(0, 0.2))
        finally:
            if process.poll() is None:
                kill_all(process.pid)
            process.wait()
        if process.returncode not in (0, -signal.SIGKILL):
            raise UserError(f'the run failed; see {work_dir / "log.txt"}')
        print(f'life {life + 1}, {number} processes: {"killed" if process.returncode else "ended"} after '
              f'{len(read_trace(trace)) - before} lines, {check_checkpoints(work_dir)} whole checkpoints', flush=True)
        if process.returncode == 0:
            return


def account(trace: list[dict]) -> tuple[list[list[list[str]]], list[float], int]:
    """Of each step that the final weights know of: the samples of each process, and the loss; and the number of starts."""
    kept: dict[int, dict] = {}
    starts = 0
    for line in trace:
        if 'start' in line:
            starts += 1
            kept = {i: entry for i, entry in kept.items() if i < line['start']}  # forgotten with the weights
        elif 'step' in line:
            kept[line['step']] = line
    steps = [kept[i] for i in sorted(kept)]
    return [step['samples'] for step in steps], [step['loss'] for step in steps], starts


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Kill a pre-training at random moments and account for every sample')
    parser.add_argument('--kills', type=int, default=10)
    parser.add_argument('--data', choices=['shards', 'folder'], default='shards')
    parser.add_argument('--processes', type=int, nargs='+', default=[1], help='of the first start, the second, ...; then again')
    parser.add_argument('--samples', type=int, default=800)
    parser.add_argument('--num-workers', type=int, default=2, help='loader workers of each process')
    parser.add_argument('--interval', type=int, default=3, help='iterations between checkpoints')
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    parser.add_argument('--work-dir', help='new folder to keep everything in; a temporary one by default')
    return parser.parse_args()


def run(args: argparse.Namespace, work_dir: Path) -> int:
    """Do all of it in a new folder."""
    make_data(work_dir / 'data', args.samples, args.data)
    (work_dir / 'config.py').write_text(CONFIG.format(
        root=ROOT, data=args.data, batch=BATCH, num_workers=args.num_workers, interval=args.interval,
        drop_last='drop_last=False,' if args.data == 'folder' else 'batch_sampler=dict(drop_last=False),'))
    run_and_kill(work_dir, args.processes, args.kills, random.Random(args.seed), args.samples / BATCH / (args.kills + 1) / 2)
    trace = read_trace(work_dir / 'trace.jsonl')
    steps, losses, starts = account(trace)
    samples = [name for step in steps for names in step for name in names]
    missing = args.samples - len(set(samples))
    twice = len(samples) - len(set(samples))
    bound = starts * max(args.processes) * BATCH * (max(args.num_workers, 1) if args.data == 'shards' else 1)
    quarter = max(len(losses) // 4, 1)
    first, last = (sum(part) / len(part) for part in (losses[:quarter], losses[-quarter:]))
    finished = any('finished' in line for line in trace)
    print(f'{starts} starts, finished: {finished}; {len(samples)} samples trained on: {missing} left out, {twice} twice '
          f'(at most {bound} fill last batches); mean loss {first:.4f} in the first quarter, {last:.4f} in the last')
    return 0 if finished and not missing and twice <= bound and last < first else 1


def main() -> int:
    args = parse_args()
    if args.work_dir is None:
        with tempfile.TemporaryDirectory() as folder:
            return run(args, Path(folder))
    if Path(args.work_dir).exists():
        raise UserError(f'{args.work_dir} is there already; give a new folder')
    Path(args.work_dir).mkdir(parents=True)
    return run(args, Path(args.work_dir))


if __name__ == '__main__':
    run_tool(main)
