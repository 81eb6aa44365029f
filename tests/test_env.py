"""``python -m sapiens_mm.env``."""
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sapiens_mm import env
from sapiens_mm.compat import CURES

ROOT = Path(__file__).parents[1]


@pytest.fixture
def without(monkeypatch):
    """Makes packages unimportable, or broken with a given error, for ``env``; the rest answers quickly."""
    broken = {}

    def import_module(name):
        error = broken.get(name.split('.')[0])
        if error is not None:
            raise error

    monkeypatch.setattr(env.importlib, 'import_module', import_module)
    return broken


def test_healthy_installation_in_a_fresh_process():
    done = subprocess.run([sys.executable, '-m', 'sapiens_mm.env', '--json'], capture_output=True, text=True, cwd=ROOT)
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report['problems'] == [], report['problems']
    cures = {cure['name']: cure['state'] for cure in report['cures']}
    assert set(cures) == {cure.name for cure in CURES}
    assert cures['mmcv-ops'] == ('active' if 'mmcv-lite' in report['packages']['mmcv-lite']['distributions']
                                 else 'not needed')
    assert cures['safe-globals'] in ('active', 'not needed')
    for name in ('torch', 'mmengine', 'mmpose'):
        assert re.match(r'\d+\.\d+', report['packages'][name]['installed'])


def test_missing_package_is_named_with_the_pip_line(without, monkeypatch, capsys):
    without['mmdet'] = ModuleNotFoundError("No module named 'mmdet'")
    version = env._version
    monkeypatch.setattr(env, '_version', lambda name: None if name == 'mmdet' else version(name))
    assert env.main([]) == 1
    out = capsys.readouterr().out
    assert re.search(r'^  mmdet +MISSING', out, re.M)
    assert "missing: mmdet==3.3.0\n    pip install 'mmdet==3.3.0'" in out


def test_broken_package_is_reported(without, capsys):
    without['xtcocotools'] = ValueError('numpy.dtype size changed\nmore')
    assert env.main([]) == 1
    out = capsys.readouterr().out
    assert re.search(r'xtcocotools .* cannot be imported: ValueError: numpy.dtype size changed$', out, re.M)


def test_everything_missing(without, monkeypatch, capsys):
    for module, _ in env.REQUIRED.values():
        without[module.split('.')[0]] = ImportError('gone')
    monkeypatch.setattr(env, '_version', lambda name: None)
    monkeypatch.setattr(env, '_torch', lambda: {'not usable': 'gone'})
    assert env.main([]) == 1
    assert capsys.readouterr().out.count('MISSING') == len(env.REQUIRED)


@pytest.mark.parametrize('versions, note', [
    ({'numpy': '2.3.5'}, r'numpy 2\.3\.5 is outside the versions that are tested \(>=1\.26,<2\)'),
    ({'mmcv': '2.1.0', 'mmcv-lite': '2.1.0'}, 'mmcv and mmcv-lite are both installed'),
])
def test_doubtful_installation_gets_a_note(without, monkeypatch, capsys, versions, note):
    version = env._version
    monkeypatch.setattr(env, '_version', lambda name: versions.get(name) or version(name))
    assert env.main([]) == 0
    assert re.search(note, capsys.readouterr().out)


def test_compiled_mmcv_counts_as_mmcv(without, monkeypatch):
    version = env._version
    monkeypatch.setattr(env, '_version', {'mmcv': '2.1.0', 'mmcv-lite': None}.get)
    assert env._package('mmcv-lite')['installed'] == '2.1.0 (mmcv)'
    assert version('no-such-distribution') is None


def test_bounds_are_those_of_the_requirements_files():
    written = {}
    for name in ('runtime', 'mmpose', 'mmcv-lite'):
        for line in (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines():
            line = line.split('#')[0].strip()
            if line and not line.startswith('.'):
                requirement = Requirement(line)
                written[requirement.name] = requirement.specifier
    assert written == {name: Requirement(name + supported).specifier for name, (_, supported) in env.REQUIRED.items()}
