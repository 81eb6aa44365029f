"""Render people, train a small Sapiens on their 308 keypoints, evaluate it, and draw its predictions: python demo/toy_pose.py.

Everything runs through the tools that real data goes through; from toy to real is a change of path. Running it again goes on where
it was stopped.
"""
from __future__ import annotations

import argparse
import os
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.checkpoint import latest_checkpoint
from sapiens_mm.engine.cli import UserError, run_tool

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'configs/pose/td-hm_sapiens-tiny_1xb8-10e_toy308-192x144.py'
_TRAIN_LINE = re.compile(r'Epoch\(train\)\s+\[(\d+)\]\[\s*(\d+)/(\d+)\].*? loss: ([\d.e-]+)')
_TEST_LINE = re.compile(r'Epoch\((?:val|test)\)')
_FIGURE = re.compile(r'keypoints308/(\S+): ([\d.-]+)')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--config', default=CONFIG, help='config to train (default: %(default)s)')
    parser.add_argument('--data', default='data/toy_pose', help='where the toy people are or go (default: %(default)s)')
    parser.add_argument('--work-dir', default='work_dirs/demo', help='where the run goes (default: %(default)s)')
    parser.add_argument('--num-train', type=int, default=800, help='people to train on (default: %(default)s)')
    parser.add_argument('--num-val', type=int, default=100, help='people to evaluate on (default: %(default)s)')
    parser.add_argument('--max-epochs', type=int, help="instead of the config's")
    return parser.parse_args()


def run(arguments: list[str], log: Path, on_line) -> str:
    """Run a tool of this repository, its output in ``log``; raise with its last words where it fails."""
    with open(log, 'w', buffering=1) as file:
        process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   cwd=ROOT, env={**os.environ, 'PYTHONUNBUFFERED': '1', 'PYTHONWARNINGS': 'ignore'})
        try:
            for line in process.stdout:
                file.write(line)
                on_line(line)
        except BaseException:
            process.terminate()
            raise
        finally:
            process.wait()
    text = log.read_text()
    if process.returncode:
        last = (text.strip().splitlines() or ['no output'])[-1]
        raise UserError(f'{arguments[0]} stopped: {last} (all of it: {log})')
    return text


def train(args: argparse.Namespace, work_dir: Path, options: list[str]) -> None:
    """tools/train.py with a progress bar."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from sapiens_mm.engine.cli import read_config
    epochs = args.max_epochs or read_config(args.config).train_cfg.max_epochs
    with Progress(TextColumn('training'), BarColumn(), TaskProgressColumn(), TextColumn('epoch {task.fields[epoch]}/' f'{epochs}'),
                  TextColumn('loss {task.fields[loss]}'), TimeElapsedColumn(), TextColumn('left'), TimeRemainingColumn()) as bar:
        task = bar.add_task('train', total=epochs, epoch=0, loss='-')

        def on_line(line: str) -> None:
            found = _TRAIN_LINE.search(line)
            if found:
                epoch, step, steps = (int(found[i]) for i in (1, 2, 3))
                bar.update(task, completed=epoch - 1 + step / steps, epoch=epoch, loss=found[4])

        run(['tools/train.py', args.config, '--work-dir', str(work_dir), '--resume', '--no-validate', '--cfg-options', *options],
            work_dir / 'train_output.txt', on_line)
        bar.update(task, completed=epochs, epoch=epochs)


def draw(predictions: Path, out_dir: Path, columns: int = 4, rows: int = 3) -> Path:
    """Ground truth beside prediction for every held-out person, and one sheet of the first of them."""
    import cv2
    import numpy as np

    from sapiens_mm.pose.visualizer import draw_comparison
    out_dir.mkdir(parents=True, exist_ok=True)
    tiles = []
    for sample in pickle.loads(predictions.read_bytes()):  # written by the line before: our own file
        image = cv2.imread(sample['img_path'])
        zoom = max(1, round(512 / image.shape[0]))
        image = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
        truth, found = sample['gt_instances'], sample['pred_instances']
        pair = draw_comparison(image, (truth['keypoints'][..., :2] * zoom, np.asarray(truth['keypoints_visible']).reshape(1, -1)),
                               (found['keypoints'] * zoom, found['keypoint_scores']), 308, score_thr=0.2)
        cv2.imwrite(str(out_dir / f'{Path(sample["img_path"]).stem}_{sample["id"]}.jpg'), pair)
        tiles.append(pair)
    sheet = [np.hstack(tiles[i:i + columns]) for i in range(0, min(len(tiles), rows * columns) // columns * columns, columns)]
    path = out_dir / 'sheet.jpg'
    cv2.imwrite(str(path), np.vstack(sheet or tiles[:1]))
    return path


def main() -> None:
    args = parse_args()
    from sapiens_mm.toy.dataset import make_toy_dataset
    os.chdir(ROOT)
    start = time.time()
    work_dir = Path(args.work_dir).resolve()
    work_dir.mkdir(parents=True, exist_ok=True)
    data = make_toy_dataset(args.data, args.num_train, args.num_val, workers=os.cpu_count() or 1, dense=False, variety=0.2,
                            framing='whole')
    options = [f'{loader}_dataloader.dataset.data_root={data}' for loader in ('train', 'val', 'test')]
    if args.max_epochs:
        options.append(f'train_cfg.max_epochs={args.max_epochs}')
    train(args, work_dir, options)

    checkpoint = latest_checkpoint(str(work_dir))
    predictions = work_dir / 'predictions.pkl'
    print('evaluating ...', flush=True)
    text = run(['tools/test.py', args.config, checkpoint, '--work-dir', str(work_dir), '--out', str(predictions),
                '--cfg-options', *options], work_dir / 'test_output.txt', lambda line: None)
    sheet = draw(predictions, work_dir / 'pictures')
    figures = dict(_FIGURE.findall(text))
    print(f'\nOn {args.num_val} people that it has not seen:')
    for name, value in figures.items():
        print(f'  {name:<16}{float(value):.3f}')
    print(f'\nGround truth (left) beside prediction (right): {sheet}\ncheckpoint: {checkpoint}\n{time.time() - start:.0f} s')


if __name__ == '__main__':
    run_tool(main)
