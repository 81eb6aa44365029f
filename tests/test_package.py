"""What importing the package costs and what its distribution holds."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import sapiens_mm

ROOT = Path(__file__).parents[1]


def test_import_loads_nothing_heavy():
    code = 'import json, sys; import sapiens_mm; print(json.dumps(sorted(sys.modules)))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT, check=True)
    modules = json.loads(done.stdout)
    heavy = {'torch', 'torchvision', 'numpy', 'cv2', 'scipy', 'matplotlib', 'mmengine', 'mmcv', 'mmpretrain', 'mmpose',
             'mmseg', 'mmdet', 'xtcocotools', 'pkg_resources'}
    assert 'sapiens_mm' in modules and heavy.isdisjoint(modules)
    ours = {name.split('.')[1] for name in modules if name.startswith('sapiens_mm.')}
    assert ours == {'compat', 'version'}


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """The package tree as setuptools puts it into a wheel."""
    target = tmp_path_factory.mktemp('lib')
    subprocess.run([sys.executable, 'setup.py', '-q', 'build_py', '--build-lib', str(target)], cwd=ROOT, check=True,
                   capture_output=True)
    return target / 'sapiens_mm'


def tracked(folder):
    """Python and YAML files below a folder of the repository."""
    return {path.relative_to(ROOT / folder).as_posix() for path in (ROOT / folder).rglob('*')
            if path.suffix in ('.py', '.yml') and path.is_file()}


@pytest.mark.parametrize('folder', ['configs', 'tools'])
def test_wheel_carries_configs_and_tools(built, folder):
    inside = {path.relative_to(built / '.mim' / folder).as_posix() for path in (built / '.mim' / folder).rglob('*')
              if path.is_file()}
    assert tracked(folder) and tracked(folder) <= inside
    assert not any(path.is_symlink() for path in (built / '.mim').rglob('*'))


def test_wheel_carries_every_module_and_the_index(built):
    ours = {path.relative_to(ROOT / 'sapiens_mm').as_posix() for path in (ROOT / 'sapiens_mm').rglob('*.py')
            if '.mim' not in path.parts and 'build' not in path.parts}
    assert ours <= {path.relative_to(built).as_posix() for path in built.rglob('*.py')}
    assert (built / '.mim' / 'model-index.yml').is_file() == (ROOT / 'model-index.yml').is_file()


def test_metadata():
    keys = ['--name', '--version', '--license']
    done = subprocess.run([sys.executable, 'setup.py', '-q', *keys], cwd=ROOT, check=True, capture_output=True,
                          text=True)
    assert done.stdout.split() == ['sapiens_mm', sapiens_mm.__version__, 'Apache-2.0']


def lines(name):
    text = (ROOT / 'requirements' / f'{name}.txt').read_text()
    return [line for line in (line.split('#')[0].strip() for line in text.splitlines()) if line]


def test_mmpose_and_mmcv_are_not_hard_dependencies():
    """mmpose declares chumpy, which does not install, and mmcv and mmcv-lite own the same files."""
    names = {Requirement(line).name for line in lines('runtime')}
    assert not names & {'mmpose', 'mmcv', 'mmcv-lite', 'mmcv-full', 'chumpy', 'xtcocotools'}


@pytest.mark.parametrize('python', ['3.9', '3.10', '3.11', '3.12'])
def test_known_good_versions_obey_the_requirements(python):
    pins = {}
    for requirement in map(Requirement, lines('known-good')):
        if requirement.marker is None or requirement.marker.evaluate({'python_version': python}):
            assert requirement.name not in pins
            pins[requirement.name] = str(requirement.specifier)
    for name in ('runtime', 'mmpose', 'mmcv-lite', 'tests'):
        for requirement in (Requirement(line) for line in lines(name) if not line.startswith('.')):
            version = re.fullmatch(r'==([\w.]+)', pins[requirement.name]).group(1)
            assert SpecifierSet(str(requirement.specifier)).contains(version), (requirement.name, version)


def test_scripts_are_executable():
    assert os.access(ROOT / '.ci' / 'run', os.X_OK)
