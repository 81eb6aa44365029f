"""Write a checkpoint in another form: python tools/model_converters/convert_checkpoint.py SOURCE TARGET."""
from __future__ import annotations

import argparse
import json

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.atomic_file import atomic_path
from sapiens_mm.engine.cli import run_tool
from sapiens_mm.engine.convert import convert


def main() -> None:
    parser = argparse.ArgumentParser(description='Convert a checkpoint; the state of the training is dropped')
    parser.add_argument('source', help='path, URL or hf://owner/repo/file[@revision] of a .pth or .safetensors file')
    parser.add_argument('target', help='.pth or .safetensors file to write')
    parser.add_argument('--what', choices=['model', 'backbone'], default='model', help='all weights, or those of the backbone')
    parser.add_argument('--weights', choices=['averaged', 'raw'], default='averaged', help='where the file has both')
    parser.add_argument('--dtype', choices=['fp32', 'fp16', 'bf16'], help='default: as in the file')
    parser.add_argument('--config', help='a config whose model the result must fill exactly')
    parser.add_argument('--report', metavar='FILE.json', help='write what became of every weight')
    parser.add_argument('--trusted', action='store_true', help='load also what could run code: only for files of your own')
    args = parser.parse_args()
    report = convert(args.source, args.target, args.what, args.weights, args.dtype, args.config, args.trusted)
    if args.report:
        with atomic_path(args.report) as path:
            path.write_text(json.dumps(report, indent=1))
    left = len(report['left_out'])
    print(f'{args.target}: {len(report["written"])} weights of {report["held"] or "an unknown model"}'
          + (f'; {left} weights left out' if left else '')
          + (f'; dropped {", ".join(report["entries_left_out"])}' if report['entries_left_out'] else ''))


if __name__ == '__main__':
    run_tool(main)
