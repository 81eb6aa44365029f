"""What the command-line tools share: arguments that mm users type without reading, and errors as one sentence."""
from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.registry import Registry

DEBUG = 'SAPIENS_MM_DEBUG'
_UNREGISTERED = re.compile(r"([\w.]+) is not in the (\w+)::([\w ]+) registry")
# What a mistake of the user or a disk that is full raises. Anything else is a defect and keeps its traceback.
_MISTAKES = (ValueError, OSError, FloatingPointError)


class UserError(ValueError):
    """A mistake that a tool has found itself."""


def add_runner_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of both training and evaluation."""
    parser.add_argument('--work-dir', help='where logs and results go (default: work_dirs/NAME_OF_THE_CONFIG)')
    parser.add_argument('--show-dir', help='draw predictions and save the pictures below this directory of the run')
    parser.add_argument('--show', action='store_true', help='draw predictions in a window')
    parser.add_argument('--interval', type=int, default=1, help='draw every so many samples')
    parser.add_argument('--wait-time', type=float, default=1, help='seconds that a window shows one picture')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override entries of the config, nested keys with dots, such as train_dataloader.batch_size=8')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def read_config(path: str) -> Config:
    """Read a config; ``UserError`` where there is none or it is no Python."""
    if not os.path.isfile(path):
        near = get_close_matches(Path(path).name, [p.name for p in Path('configs').rglob('*.py')], 1, 0.5)
        raise UserError(f'no config at {path}' + (f'; did you mean one called {near[0]}?' if near else ''))
    try:
        return Config.fromfile(path)
    except SyntaxError as error:
        raise UserError(f'{path} is not valid Python: {error.msg}, line {error.lineno}') from error


def load_runner_config(args: argparse.Namespace) -> Config:
    """Read the config that ``args`` names and lay the shared arguments over it."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config)
    cfg.launcher = args.launcher
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = os.path.join('work_dirs', Path(args.config).stem)
    if args.show or args.show_dir:
        hook = cfg.get('default_hooks', {}).get('visualization')
        if hook is None:
            raise UserError(f'{args.config} has no default_hooks.visualization that could draw; leave --show and --show-dir out')
        hook.update(enable=True) if 'enable' in hook or 'Pose' in hook.type else hook.update(draw=True)
        hook.update(show=args.show, interval=args.interval, **(dict(wait_time=args.wait_time) if args.show else {}))
        if args.show_dir:
            hook.update(**{'out_dir' if 'Pose' in hook.type else 'test_out_dir': args.show_dir})
    return cfg


def build_runner(cfg: Config):
    """The runner that the config asks for, mmengine's ``Runner`` by default."""
    from mmengine.registry import RUNNERS
    from mmengine.runner import Runner
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def _all_names(registry: Registry, prefix: str = '') -> list[str]:
    names = [prefix + name for name in {*registry.module_dict, *getattr(registry, 'index', {})}]
    for scope, child in registry.children.items():
        names += _all_names(child, f'{scope}.')
    return names


def near_types(message: str) -> str:
    """For mmengine's message about a type that is not registered: what it may have meant, '' for any other message."""
    from mmengine import registry as roots
    found = _UNREGISTERED.search(message)
    if not found:
        return ''
    wrong, scope, kind = found.groups()
    everywhere = {name: name.rpartition('.')[2] for root in vars(roots).values() if isinstance(root, Registry)
                  and root.name == kind for name in _all_names(root)}
    near = set(get_close_matches(wrong.rpartition('.')[2], set(everywhere.values()), 3, 0.7))
    spelled = sorted(name.removeprefix(f'{scope}.')
                     for name, bare in everywhere.items() if bare in near)
    return (f'type {wrong!r} is not registered as a {kind} in scope {scope!r}' +
            (f'; near it: {", ".join(spelled)}' if spelled else ''))


def _sentence(error: BaseException) -> str:
    """What went wrong, without the frames that workers and registries put around it."""
    text = str(error)
    if 'Original Traceback' in text:  # from a data loader's worker: its last line says what it was
        text = [line for line in text.splitlines() if line.strip()][-1].partition(': ')[2]
    text = re.sub(r"^(class `\w+` in [\w/]+\.py: )+", '', text.strip())
    return ' '.join(text.split())


def _leave_process_group() -> None:
    """Let the processes of a run end together: gloo's threads abort a program that leaves them behind."""
    dist = sys.modules.get('torch.distributed')
    if dist is not None and dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def run_tool(main: Callable[[], int | None]) -> None:
    """Run a tool's ``main`` and exit; a user's mistake becomes one sentence and exit code 1.

    ``SAPIENS_MM_DEBUG=1`` keeps the traceback.
    """
    name = Path(sys.argv[0]).name
    try:
        status = main() or 0
        _leave_process_group()
        sys.exit(status)
    except KeyboardInterrupt:
        print(f'{name}: interrupted; what was saved is whole', file=sys.stderr)
        sys.exit(130)
    except (KeyError, *_MISTAKES) as error:
        near = near_types(str(error))
        if os.environ.get(DEBUG) or (isinstance(error, KeyError) and not near):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        where = f' [{Path(frames[-1].filename).name}:{frames[-1].lineno}; {DEBUG}=1 shows the traceback]'
        print(f'{name}: error: {near or _sentence(error)}' + ('' if isinstance(error, UserError) else where), file=sys.stderr)
        sys.exit(1)
