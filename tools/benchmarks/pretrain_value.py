"""What pre-training on unlabelled pictures is worth for pose.

    python tools/benchmarks/pretrain_value.py --data data/toy --out DIR

Pre-trains the tiny masked auto-encoder on the toy people, once for each seed, then trains the tiny pose model from it and from
scratch with the same budget. Writes curves.json and curves.png, and prints a table. Started anew it goes on where it was.
"""
from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.cli import UserError, run_tool

ROOT = Path(__file__).resolve().parents[2]
PRETRAIN = 'configs/pretrain/mae_sapiens-tiny_1xb32-coslr-100e_humans-192px.py'
POSE = 'configs/pose/td-hm_sapiens-tiny_1xb8-10e_toy308-192x144.py'
METRIC = 'keypoints308/body_AP'


def train(config: str, work_dir: Path, options: list[str]) -> None:
    """Train unless it is done; the end leaves a mark."""
    if (work_dir / 'done').is_file():
        return
    command = [sys.executable, str(ROOT / 'tools/train.py'), str(ROOT / config), '--work-dir', str(work_dir), '--resume',
               '--cfg-options', *options]
    work_dir.mkdir(parents=True, exist_ok=True)
    with open(work_dir / 'log.txt', 'a') as log:
        if subprocess.run(command, stdout=log, stderr=log, cwd=ROOT).returncode:
            raise UserError(f'a training failed; see {work_dir / "log.txt"}')
    (work_dir / 'done').touch()


def curve(work_dir: Path, metric: str) -> list[tuple[int, float]]:
    """(epoch, value) of a run's evaluations; of a resumed run, the last of each epoch."""
    values: dict[int, float] = {}
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            if metric in entry:
                values[entry['step']] = entry[metric]
    if not values:
        raise UserError(f'no {metric} in the logs of {work_dir}; choose one of its validation with --metric')
    return sorted(values.items())


def draw(curves: dict[str, list[list[tuple[int, float]]]], file: Path, metric: str) -> None:
    """All seeds thin, their mean thick."""
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(figsize=(6, 4))
    for colour, (name, runs) in zip(('tab:blue', 'tab:orange'), curves.items()):
        for run in runs:
            axes.plot(*zip(*run), color=colour, alpha=0.3, linewidth=1)
        epochs = [epoch for epoch, _ in runs[0]]
        axes.plot(epochs, [statistics.mean(dict(run)[epoch] for run in runs) for epoch in epochs], color=colour, label=name)
    axes.set(xlabel='epoch of pose training', ylabel=metric)
    axes.legend()
    figure.savefig(file, bbox_inches='tight', dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description='Pose from a pre-trained backbone and from scratch')
    parser.add_argument('--data', default='data/toy', help='toy data set, see tools/dataset_converters/make_toy_dataset.py')
    parser.add_argument('--out', required=True, help='folder for everything')
    parser.add_argument('--pose-config', default=POSE, help='config with the same backbone (default: %(default)s)')
    parser.add_argument('--metric', default=METRIC, help='of the pose validation (default: %(default)s)')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--pretrain-epochs', type=int, default=100)
    parser.add_argument('--pose-options', nargs='*', default=[], help='KEY=VALUE overrides of the pose config')
    args = parser.parse_args()
    data, out = Path(args.data).resolve(), Path(args.out).resolve()
    if not (data / 'images/train').is_dir():
        raise UserError(f'no toy data set in {data}; make it with tools/dataset_converters/make_toy_dataset.py')
    curves: dict[str, list] = {'pre-trained': [], 'from scratch': []}
    for seed in args.seeds:
        mae = out / f'mae_{seed}'
        train(PRETRAIN, mae, [f'train_dataloader.dataset.data_root={data}/images/train', f'randomness.seed={seed}',
                              f'train_cfg.max_epochs={args.pretrain_epochs}'])
        for name, runs in curves.items():
            work_dir = out / f'pose_{name.replace(" ", "_").replace("-", "_")}_{seed}'
            options = [f'{loader}.dataset.data_root={data}/' for loader in ('train_dataloader', 'val_dataloader')]
            options += [f'randomness.seed={seed}', *args.pose_options]
            if name == 'pre-trained':
                checkpoint = (mae / 'last_checkpoint').read_text().strip()
                options += ['model.backbone.init_cfg.type=Pretrained', f'model.backbone.init_cfg.checkpoint={checkpoint}']
            train(args.pose_config, work_dir, options)
            runs.append(curve(work_dir, args.metric))
        print(f'seed {seed}: ' + ', '.join(f'{name} {runs[-1][-1][1]:.4f}' for name, runs in curves.items()), flush=True)
    (out / 'curves.json').write_text(json.dumps(curves))
    draw(curves, out / 'curves.png', args.metric)
    print('\n| epoch | ' + ' | '.join(curves) + ' |\n|---|' + '---|' * len(curves))
    for epoch, _ in curves['pre-trained'][0]:
        cells = [[dict(run)[epoch] for run in runs] for runs in curves.values()]
        print(f'| {epoch} | ' + ' | '.join(f'{statistics.mean(cell):.4f} (' + ', '.join(f'{v:.3f}' for v in cell) + ')'
                                           for cell in cells) + ' |')


if __name__ == '__main__':
    run_tool(main)
