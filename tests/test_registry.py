import ast
import subprocess
import sys

import pytest
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import Registry

from sapiens_mm import registry
from tests.support import ROOT

OURS = {name: value for name, value in vars(registry).items() if isinstance(value, registry.LazyRegistry)}
NAMES = [(kind, name) for kind, value in OURS.items() for name in value.index]


@pytest.mark.parametrize('kind, name', NAMES)
def test_every_indexed_name_is_registered_where_the_index_says(kind, name):
    cls = OURS[kind].get(name)
    assert cls is not None and cls.__module__ == OURS[kind].index[name]


def test_every_registration_is_in_the_index():
    """Read from the source, so that a forgotten line is found although nothing has imported the module yet."""
    for path in sorted((ROOT / 'sapiens_mm').rglob('*.py')):
        module = '.'.join(path.relative_to(ROOT).with_suffix('').parts)
        for node in ast.walk(ast.parse(path.read_text())):
            for decorator in getattr(node, 'decorator_list', ()):
                call = ast.unparse(decorator)
                if '.register_module' in call and call.split('.')[0] in OURS:
                    assert OURS[call.split('.')[0]].index.get(node.name) == module, f'{node.name} in {module}'


@pytest.mark.parametrize('scope', ['mmpose', 'mmseg', 'mmpretrain', 'mmdet', None])
def test_names_resolve_from_every_default_scope(scope):
    with ROOT_MODELS.switch_scope_and_registry(scope) as found:
        assert found.get('sapiens_mm.SapiensViT').__name__ == 'SapiensViT'


def test_a_backbone_does_not_wait_for_other_libraries():
    code = ('import sapiens_mm, sys; from sapiens_mm.registry import MODELS; MODELS.get("SapiensViT"); '
            'print([m for m in ("mmpose", "mmseg", "mmdet", "mmpretrain") if m in sys.modules])')
    out = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip().splitlines()[-1] == '[]'


def test_one_import_line_is_enough_for_another_project(tmp_path):
    """A config of somebody else's, in mmengine alone."""
    config = tmp_path / 'theirs.py'
    config.write_text("custom_imports = dict(imports=['sapiens_mm'])\n"
                      "model = dict(type='sapiens_mm.SapiensViT', arch=dict(embed_dims=8, num_layers=1, num_heads=1, "
                      'feedforward_channels=8), img_size=32, patch_padding=0)\n')
    code = (f'from mmengine import Config; from mmengine.registry import MODELS; c = Config.fromfile({str(config)!r}); '
            'print(type(MODELS.build(c.model)).__name__)')
    out = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip().splitlines()[-1] == 'SapiensViT'


def test_an_unknown_name_is_no_class():
    assert isinstance(registry.MODELS, Registry)
    assert registry.MODELS.get('SapiensVit') is None
