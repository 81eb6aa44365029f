"""``python -m sapiens_mm.env``: versions and active cures, as text for a bug report, or ``--json``.

Prints whatever is there: a missing or broken package becomes a line, never a traceback. Exits 1 if something required
is missing or cannot be imported.
"""
from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import platform
import sys
from importlib import metadata

from .compat import CURES
from .version import __version__

# distribution -> (module, supported versions), with the bounds of requirements/, which a wheel does not carry.
REQUIRED = {
    'setuptools': ('pkg_resources', '<82'),
    'numpy': ('numpy', '>=1.26,<2'),
    'opencv-python': ('cv2', '<4.12'),
    'torch': ('torch', '>=2.1'),
    'torchvision': ('torchvision', '>=0.16'),
    'mmengine': ('mmengine', '==0.10.7'),
    'mmcv-lite': ('mmcv', '==2.1.0'),
    'mmpretrain': ('mmpretrain', '==1.2.0'),
    'mmsegmentation': ('mmseg', '==1.2.2'),
    'mmdet': ('mmdet', '==3.3.0'),
    'xtcocotools': ('xtcocotools.coco', '==1.14.3'),
    'mmpose': ('mmpose', '==1.3.2'),
    'six': ('six', ''),
    'ftfy': ('ftfy', ''),
    'regex': ('regex', ''),
    'tensorboard': ('tensorboard', ''),
    'safetensors': ('safetensors', ''),
}
# Other distributions that provide the same module.
ALTERNATIVES = {
    'opencv-python': ('opencv-python-headless', 'opencv-contrib-python', 'opencv-contrib-python-headless'),
    'mmcv-lite': ('mmcv', 'mmcv-full'),
}
# Imported after the single packages: what a missing operator or an undeclared dependency breaks.
ROOMS = ('mmpretrain.models', 'mmpose.models', 'mmpose.datasets', 'mmseg.models', 'mmseg.datasets')


def collect() -> dict:
    """Look at the installation.

    Returns:
        dict: ``system`` and ``torch`` (names to text), ``packages`` (name to installed version, supported versions,
        error), ``rooms`` (module to error or None), ``cures`` (list of records), ``notes`` and ``problems``
        (lists of sentences).
    """
    report = dict(
        system={
            'sapiens_mm': __version__,
            'Python': f'{platform.python_version()} ({sys.executable})',
            'Platform': platform.platform(),
        },
        packages={name: _package(name) for name in REQUIRED},
        torch=_torch(),
        rooms={module: _import_error(module) for module in ROOMS},
    )
    # Last: importing the libraries is what puts the cures in force.
    report['cures'] = [
        dict(name=cure.name, library=cure.library, state=cure.state, reason=cure.reason, affected=cure.affected,
             until=cure.until, effect=cure.effect) for cure in CURES
    ]
    report['problems'], report['notes'] = _judge(report)
    return report


def _package(name: str) -> dict:
    module, supported = REQUIRED[name]
    names = (name, *ALTERNATIVES.get(name, ()))
    found = {other: version for other in names if (version := _version(other))}
    return dict(
        module=module,
        installed=', '.join(version if other == name else f'{version} ({other})' for other, version in found.items()),
        distributions=sorted(found),
        supported=supported,
        inside=all(_inside(version, supported) for version in found.values()),
        error=_import_error(module),
    )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except Exception:  # absent, or its metadata is damaged
        return None


def _inside(version: str, supported: str) -> bool:
    try:
        from packaging.specifiers import SpecifierSet
        return SpecifierSet(supported).contains(version, prereleases=True)
    except Exception:  # no packaging, or a version that is none: not worth a warning
        return True


def _import_error(module: str) -> str | None:
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever a broken package raises belongs in the report
        return f'{type(error).__name__}: {error}'.split('\n')[0]
    return None


def _torch() -> dict:
    try:
        import torch
        facts = {
            'CUDA build': torch.version.cuda or 'none',
            'cuDNN': str(torch.backends.cudnn.version() or 'none'),
            'CUDA available': str(torch.cuda.is_available()),
        }
        for index in range(torch.cuda.device_count()):
            gpu = torch.cuda.get_device_properties(index)
            memory = f'{gpu.total_memory / 2**30:.1f} GiB'
            facts[f'GPU {index}'] = f'{gpu.name}, {memory}, capability {gpu.major}.{gpu.minor}'
        return facts
    except Exception as error:  # reported with the package already
        return {'not usable': f'{type(error).__name__}: {error}'.split('\n')[0]}


def _judge(report: dict) -> tuple[list[str], list[str]]:
    problems, notes, missing = [], [], []
    for name, package in report['packages'].items():
        if not package['installed'] and package['error']:
            missing.append(name + package['supported'])
        elif package['error']:
            problems.append(f"{name} {package['installed']} cannot be imported: {package['error']}")
        elif not package['inside']:
            notes.append(f"{name} {package['installed']} is outside the versions that are tested "
                         f"({package['supported']}).")
    if missing:
        problems.append('missing: ' + ', '.join(missing) + '\n    pip install ' +
                        ' '.join(f"'{item}'" for item in missing))
        if any(item.startswith('mmpose') for item in missing):
            notes.append('mmpose declares chumpy, which no longer installs; from a checkout, '
                         'pip install -r requirements.txt gets round it.')
    problems += [f'import {module} fails: {error}' for module, error in report['rooms'].items()
                 if error and not missing]
    problems += [f"the cure {cure['name']} failed: {cure['reason']}" for cure in report['cures']
                 if cure['state'] == 'failed']
    if len(report['packages']['mmcv-lite']['distributions']) > 1:
        notes.append('mmcv and mmcv-lite are both installed and own the same files: pip uninstall both, install one.')
    if not (3, 9) <= sys.version_info[:2] <= (3, 12):
        notes.append(f'Python {platform.python_version()} is outside the versions that are tested (3.9 to 3.12).')
    return problems, notes


def _text(report: dict) -> str:
    lines = [f'{key}: {value}' for key, value in report['system'].items()]
    lines += [f'  {key}: {value}' for key, value in report['torch'].items()]
    lines += ['', 'Packages']
    for name, package in report['packages'].items():
        shown = package['installed'] or ('not a pip package' if package['error'] is None else 'MISSING')
        state = '' if package['error'] is None else f"  BROKEN: {package['error']}" if package['installed'] else ''
        lines.append(f"  {name:15} {shown:28} {package['supported']}{state}".rstrip())
    lines += ['', 'Compatibility cures']
    for cure in report['cures']:
        lines.append(f"  {cure['name']:15} {cure['state']}" + (f" ({cure['reason']})" if cure['reason'] else ''))
        if cure['state'] in ('active', 'failed'):
            lines += [f"{'':18}{cure['library']}, {cure['affected']}", f"{'':18}can go when: {cure['until']}"]
    for title in ('notes', 'problems'):
        lines += ['', title.capitalize()] + ([f'  {line}' for line in report[title]] or ['  none'])
    return '\n'.join(lines)


def main(argv: list[str] | None = None) -> int:
    """Print the report; return 1 if it holds a problem."""
    parser = argparse.ArgumentParser(prog='python -m sapiens_mm.env', description=__doc__.split('\n')[0])
    parser.add_argument('--json', action='store_true', help='machine-readable output')
    args = parser.parse_args(argv)
    with contextlib.redirect_stdout(sys.stderr):  # libraries that print while they are imported
        report = collect()
    print(json.dumps(report, indent=2) if args.json else _text(report))
    return 1 if report['problems'] else 0


if __name__ == '__main__':
    sys.exit(main())
