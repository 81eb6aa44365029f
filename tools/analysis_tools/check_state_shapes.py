"""Hold the names and shapes of every configured model's weights against a table of the released ones."""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from torch import nn

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.checkpoint import mismatch, persistent_shapes

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'

# What an entry of the table is called without its size -> the config of that model, {} for the size.
CONFIG_OF = {
    'mae': 'pretrain/mae_sapiens-{}_8xb512-coslr-1600e_humans-1024px.py',
    'pose/coco': 'pose/td-hm_sapiens-{}_8xb64-210e_coco-1024x768.py',
    'pose/wholebody': 'pose/td-hm_sapiens-{}_8xb64-210e_coco-wholebody-1024x768.py',
    'pose/goliath': 'pose/td-hm_sapiens-{}_8xb64-210e_keypoints308-1024x768.py',
    'seg/goliath': 'seg/sapiens-{}_8xb2-200e_parts28-1024x768.py',
    'seg/lip': 'seg/sapiens-{}_8xb2-400e_lip-1024x768.py',
    'depth': 'depth/sapiens-{}_8xb2-200e_general-1024x768.py',
    'normal': 'normal/sapiens-{}_8xb2-200e_general-1024x768.py',
}


def config_of(entry: str) -> Path | None:
    """The config that builds the model of a table's entry, such as ``pose/coco_0.3b``; None where there is none yet."""
    model, _, size = entry.rpartition('_')
    return CONFIGS / CONFIG_OF[model].format(size) if model in CONFIG_OF else None


def build_on_meta(config: Path) -> nn.Module:
    """The model of a config without memory for its weights."""
    from mmengine.config import Config
    from mmengine.registry import MODELS, DefaultScope
    cfg = Config.fromfile(config)
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device('meta'):
        with MODELS.switch_scope_and_registry(cfg.default_scope) as registry:
            return registry.build(cfg.model)


def check_entry(entry: str, expected: dict[str, list[int]]) -> str | None:
    """What is wrong with the model of an entry; None if its names and shapes are exactly the expected ones."""
    own = persistent_shapes(build_on_meta(config_of(entry)))
    return mismatch({name: tuple(shape) for name, shape in expected.items()}, own, labels=('table', 'model'))


def main() -> int:
    """Print each entry's verdict; 0 if all that have a config agree."""
    parser = argparse.ArgumentParser(description='Compare the names and shapes of weights with a table')
    parser.add_argument('table', help='json: entry -> {weight name: shape}')
    args = parser.parse_args()
    try:
        table = json.loads(Path(args.table).read_text())
    except (OSError, json.JSONDecodeError) as error:
        print(f'check_state_shapes: {args.table}: {error}', file=sys.stderr)
        return 2
    failed, not_yet = [], []
    for entry, expected in table.items():
        if config_of(entry) is None:
            not_yet.append(entry)
            continue
        trouble = check_entry(entry, expected)
        if trouble:
            failed.append(entry)
        print(f'{entry:<24}{f"{len(expected)} weights agree" if trouble is None else "FAILED  " + trouble}')
    if not_yet:
        print(f'no config yet: {", ".join(not_yet)}')
    print(f'{len(table) - len(failed) - len(not_yet)} agree, {len(failed)} differ' + (f': {", ".join(failed)}' if failed else ''))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
