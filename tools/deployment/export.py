"""Export a network to torch.export or ONNX: python tools/deployment/export.py CONFIG CHECKPOINT TARGET."""
from __future__ import annotations

import argparse

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.cli import run_tool
from sapiens_mm.engine.exported import export


def main() -> None:
    parser = argparse.ArgumentParser(description='Export a network and compare it with the model on the spot')
    parser.add_argument('config', help='config of pose, parts, depth or normals, or the name of a released model')
    parser.add_argument('checkpoint', help='path, URL or hf://owner/repo/file')
    parser.add_argument('target', help='.pt2 (torch.export) or .onnx file to write; its batch size is dynamic')
    parser.add_argument('--trusted', action='store_true', help='load also what could run code: only for files of your own')
    args = parser.parse_args()
    from sapiens_mm.apis.multi import TASKS
    from sapiens_mm.engine.cli import read_config
    from sapiens_mm.engine.model_cards import config_facts, find_card
    card = find_card(args.config)
    task = card.task if card is not None else config_facts(read_config(args.config))['task']
    if task not in ('pose', 'parts', 'depth', 'normal'):
        raise ValueError(f'{args.config} is no config of pose, parts, depth or normals')
    inferencer = TASKS[task](args.config, args.checkpoint, device='cpu', trusted=args.trusted)
    report = export(inferencer.model, args.target, str(inferencer.config_name))
    print(f'{" and ".join(report["files"])}: largest difference from the model {report["max"]:.3g}, mean {report["mean"]:.3g}, '
          f'where its output goes up to {report["scale"]:.3g}')


if __name__ == '__main__':
    run_tool(main)
