"""Pictures through a pre-trained model: python tools/visualizations/reconstruct.py CONFIG CHECKPOINT PICTURES --out-dir DIR."""
from __future__ import annotations

import argparse
from pathlib import Path

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.cli import UserError, read_config, run_tool


def parse_args() -> argparse.Namespace:
    from mmengine.config import DictAction
    parser = argparse.ArgumentParser(description='Draw input, masked input and reconstruction')
    parser.add_argument('config', help='config of a masked auto-encoder')
    parser.add_argument('checkpoint', help='raw pre-training checkpoint, .pth or .safetensors')
    parser.add_argument('pictures', nargs='+', help='picture files, or folders of them')
    parser.add_argument('--out-dir', required=True, help='NAME.png goes here for each picture')
    parser.add_argument('--mask-ratios', nargs='+', type=float, default=[0.75, 0.85, 0.95], help='shares of hidden patches')
    parser.add_argument('--seed', type=int, default=0, help='of the choice of patches')
    parser.add_argument('--device', default='cpu', help='such as cuda:0')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override entries of the config')
    return parser.parse_args()


def find_pictures(given: list[str]) -> list[Path]:
    """Files as given, and the picture files of folders."""
    from sapiens_mm.pretrain.shards import PICTURES
    found: list[Path] = []
    for path in map(Path, given):
        found += sorted(f for f in path.iterdir() if f.suffix.lower() in PICTURES) if path.is_dir() else [path]
    if not found:
        raise UserError(f'no pictures in {", ".join(given)}')
    return found


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    if cfg.model.type != 'sapiens_mm.MaskedAutoencoder':
        raise UserError(f'{args.config} builds a {cfg.model.type}, not a sapiens_mm.MaskedAutoencoder')
    import mmcv
    from mmengine.registry import MODELS, init_default_scope

    from sapiens_mm.engine.atomic_file import atomic_path
    from sapiens_mm.engine.checkpoint import load_model
    from sapiens_mm.pretrain.visualizer import draw_reconstructions, read_square
    pictures = find_pictures(args.pictures)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model).to(args.device).eval()
    load_model(model, args.checkpoint)
    for number, path in enumerate(pictures):
        inputs = read_square(str(path), model.backbone.img_size[0])[None].to(args.device)
        panel = draw_reconstructions(model, inputs, args.mask_ratios, args.seed)
        name = f'{path.stem}.png' if len({p.stem for p in pictures}) == len(pictures) else f'{number:05d}_{path.stem}.png'
        with atomic_path(Path(args.out_dir) / name) as partial:
            mmcv.imwrite(panel[..., ::-1], str(partial))
    print(f'{len(pictures)} pictures in {args.out_dir}: input, then hidden and predicted at '
          + ', '.join(f'{ratio:.0%}' for ratio in args.mask_ratios))


if __name__ == '__main__':
    run_tool(main)
