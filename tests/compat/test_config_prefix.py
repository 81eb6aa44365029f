"""Inheriting from our configs by package name."""
import os
import subprocess
import sys
from pathlib import Path

import sapiens_mm


def test_package_is_found_from_anywhere(tmp_path):
    """Where the package is not in the working directory, as an editable installation is used."""
    root = Path(sapiens_mm.__file__).parents[1]
    code = ('import sapiens_mm; from mmengine.config import config; from mmengine.hub import hub;'
            'print(config.get_installed_path("sapiens_mm")); print(hub.get_installed_path("sapiens_mm"))')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=tmp_path,
                          env={**os.environ, 'PYTHONPATH': str(root)})
    assert done.stdout.split() == [str(root / 'sapiens_mm')] * 2, done.stderr


def test_child_config_inherits(tmp_path, monkeypatch):
    from mmengine.config import Config

    from sapiens_mm.compat import config_prefix
    package = tmp_path / 'package'
    (package / '.mim' / 'configs' / '_base_').mkdir(parents=True)
    (package / '.mim' / 'model-index.yml').write_text('Import: []\n')
    (package / '.mim' / 'configs' / '_base_' / 'base.py').write_text('lr = 5e-4\n')
    monkeypatch.setattr(config_prefix, '__file__', str(package / 'compat' / 'config_prefix.py'))
    child = tmp_path / 'child.py'
    child.write_text("_base_ = 'sapiens_mm::_base_/base.py'\nepochs = 3\n")
    config = Config.fromfile(str(child))
    assert (config.lr, config.epochs) == (5e-4, 3)


def test_other_packages_are_left_alone():
    from mmengine.config import config
    assert config.get_installed_path('mmpose').endswith('mmpose')
