"""The table of released checkpoints."""
import json

import pytest
from mmengine import Config

from sapiens_mm.engine.model_cards import MODEL_CARDS, check_belongs, config_facts, find_card
from tests.support import ROOT, load_tool

check_state_shapes = load_tool('analysis_tools/check_state_shapes.py')
BUILT = [card for card in MODEL_CARDS.values() if (ROOT / 'configs' / card.config).is_file()]


def test_cards_are_whole():
    assert len({f for card in MODEL_CARDS.values() for f in card.files}) == sum(len(c.files) for c in MODEL_CARDS.values())
    for name, card in MODEL_CARDS.items():
        assert name == card.name and card.patch_padding in (0, 2) and card.provenance and 'NC' in card.licence
        assert card.source.startswith('hf://') and card.source.endswith('.pth')


@pytest.mark.parametrize('task', ['pretrain', 'pose', 'parts', 'depth', 'normal'])
def test_every_task_has_its_sizes(task):
    sizes = {card.size for card in MODEL_CARDS.values() if card.task == task}
    assert sizes == ({'0.3b', '0.6b', '1b'} if task == 'parts' else {'0.3b', '0.6b', '1b', '2b'})


@pytest.mark.parametrize('card', BUILT, ids=lambda card: card.name)
def test_configs_agree_with_their_cards(card):
    cfg = Config.fromfile(ROOT / 'configs' / card.config)
    facts = config_facts(cfg)
    assert {key: facts[key] for key in card.facts()} == card.facts()
    for file in card.files:
        assert check_belongs(cfg, f'/some/where/{file}') is card


def test_every_card_of_a_task_with_configs_has_one():
    folders = {card.config.split('/')[0] for card in BUILT}
    assert folders == {'pose', 'pretrain', 'seg', 'depth', 'normal'}
    assert [c.config for c in MODEL_CARDS.values() if c.config.split('/')[0] in folders and c not in BUILT] == []


@pytest.mark.parametrize('name, file', [
    ('sapiens-1b-pose-308', 'sapiens_1b_goliath_best_goliath_AP_639.pth'),
    ('sapiens-1b-pose-308', 'hf://facebook/sapiens-pose-1b/sapiens_1b_goliath_best_goliath_AP_639.pth@main'),
    ('sapiens-0.3b-depth', 'https://a.b/c/sapiens_0.3b_render_people_epoch_100.pth?download=true'),
    ('sapiens-0.3b-pretrain', 'sapiens_0.3b_epoch_1600_clean.safetensors'),
    ('sapiens-0.3b-pretrain', 'sapiens_0.3b_epoch_1600.pth'),
    ('sapiens-2b-pose-17', 'sapiens-2b-pose-17'),
    ('sapiens-0.6b-parts-28', 'ckpt/sapiens_0.6b_goliath_best_goliath_mIoU_7777_epoch_178_converted.pth')])
def test_files_are_known_by_name(name, file):
    assert find_card(file).name == name


@pytest.mark.parametrize('file', ['epoch_10.pth', 'sapiens_0.3b_epoch_16.pth', 'my_sapiens_1b_coco_best_coco_AP_821.pth'])
def test_other_files_have_no_card(file):
    assert find_card(file) is None
    assert check_belongs(Config(dict(model=dict())), file) is None


@pytest.mark.parametrize('change, says', [
    (lambda cfg: cfg.model.head.update(out_channels=308), '17 outputs, the config has 308'),
    (lambda cfg: cfg.model.backbone.update(patch_padding=0), 'patch_padding 2, the config has patch_padding 0'),
    (lambda cfg: cfg.model.backbone.update(arch='sapiens_1b'), 'size 0.3b, the config is of size 1b')])
def test_what_does_not_belong_together_is_refused(change, says):
    cfg = Config.fromfile(ROOT / 'configs' / MODEL_CARDS['sapiens-0.3b-pose-17'].config)
    change(cfg)
    with pytest.raises(ValueError, match=says):
        check_belongs(cfg, 'x/sapiens_0.3b_coco_best_coco_AP_796.pth', 'mine.py')


def test_another_task_is_refused():
    cfg = Config.fromfile(ROOT / 'configs' / MODEL_CARDS['sapiens-0.3b-pose-17'].config)
    for name in ('sapiens-0.3b-depth', 'sapiens-0.3b-pretrain'):
        with pytest.raises(ValueError, match='is for'):
            check_belongs(cfg, name)


def test_outputs_agree_with_the_released_shapes(shared_dir):
    table = json.loads((shared_dir / 'spec' / 'state_shapes_v1.json').read_text())
    names = {'pose/coco': 'pose-17', 'pose/wholebody': 'pose-133', 'pose/goliath': 'pose-308'}
    compared = 0
    for entry, shapes in table.items():
        kind, _, size = entry.rpartition('_')
        card = MODEL_CARDS.get(f'sapiens-{size}-{names.get(kind)}')
        if card is not None:
            assert shapes['head.final_layer.weight'][0] == card.outputs
            compared += 1
    assert compared == 11
