"""Every config parses, is short, resolves its types, and has its row."""
import ast
import re

import pytest
import yaml
from mmengine.config import Config
from mmengine.registry import DefaultScope

from tests.support import ROOT

CONFIGS = ROOT / 'configs'
LEAVES = sorted(p for p in CONFIGS.rglob('*.py') if '_base_' not in p.parts)
_IDS = [str(p.relative_to(CONFIGS)) for p in LEAVES]


def _types(node):
    """Every ``type`` below a config node, with the node."""
    if isinstance(node, dict):
        if isinstance(node.get('type'), str):
            yield node['type']
        for value in node.values():
            yield from _types(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _types(value)


@pytest.mark.parametrize('path', LEAVES, ids=_IDS)
def test_leaf_is_short_and_its_components_exist(path):
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.strip().startswith('#')]
    assert len(lines) <= 30
    ast.parse(path.read_text())
    cfg = Config.fromfile(path)
    assert cfg.default_scope in ('mmpose', 'mmseg', 'mmpretrain')
    assert cfg.custom_imports['imports'] == ['sapiens_mm']
    from sapiens_mm import registry
    ours = {name for value in vars(registry).values() if isinstance(value, registry.LazyRegistry) for name in value.index}
    unknown = {t for t in _types(cfg._cfg_dict.to_dict()) if t.startswith('sapiens_mm.')} - {f'sapiens_mm.{n}' for n in ours}
    assert not unknown
    backbone = cfg.model.backbone
    assert backbone.type == 'sapiens_mm.SapiensViT' and 'patch_padding' in backbone
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        assert cfg.optim_wrapper.type.startswith('sapiens_mm.Safe')


@pytest.mark.parametrize('path', LEAVES, ids=_IDS)
def test_leaf_has_its_row(path):
    assert path.name in (path.parent / 'README.md').read_text()


def test_index_lists_every_released_size():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    listed = set()
    for file in index:
        for model in yaml.safe_load((ROOT / file).read_text())['Models']:
            assert (ROOT / model['Config']).is_file(), model['Config']
            listed.add(model['Config'])
    missing = {str(p.relative_to(ROOT)) for p in LEAVES if 'tiny' not in p.name} - listed
    assert not missing


def test_names_say_what_the_config_does():
    for path in (CONFIGS / 'pose').glob('td-hm*.py'):
        cfg = Config.fromfile(path)
        batch, epochs, width_height = re.search(r'xb(\d+)-(\d+)e_.*?(\d+x\d+)\.py', path.name).groups()
        assert cfg.train_dataloader.batch_size == int(batch)
        assert cfg.train_cfg.max_epochs == int(epochs)
        assert width_height == f'{cfg.codec.input_size[1]}x{cfg.codec.input_size[0]}'
        assert tuple(cfg.model.backbone.img_size) == tuple(cfg.codec.input_size[::-1])
        assert cfg.model.head.decoder == cfg.codec
