"""Print a config as the runner sees it, bases and overrides merged: python tools/misc/print_config.py CONFIG."""
import argparse

from mmengine.config import DictAction

from sapiens_mm.engine.cli import UserError, read_config, run_tool


def main() -> None:
    parser = argparse.ArgumentParser(description='Print a whole config')
    parser.add_argument('config', help='config file')
    parser.add_argument('--save-path', help='also write it to this .py, .json or .yml file')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override entries of the config')
    args = parser.parse_args()
    if args.save_path and not args.save_path.endswith(('.py', '.json', '.yml', '.yaml')):
        raise UserError(f'--save-path takes a .py, .json or .yml file, got {args.save_path}')
    cfg = read_config(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    print(cfg.pretty_text)
    if args.save_path:
        cfg.dump(args.save_path)


if __name__ == '__main__':
    run_tool(main)
