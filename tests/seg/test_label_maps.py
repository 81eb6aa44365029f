import numpy as np
import pytest

from sapiens_mm.seg.classes import LIP20, PARTS28, PARTS29, RAW34_CLASSES, VOCABULARIES, get_vocabulary
from sapiens_mm.seg.label_maps import _tables, label_table


def new_name(source_names, target_names, source, target, name):
    new = label_table(source, target)[0][source_names.index(name)]
    return None if new == 255 else target_names[new]


def test_every_table_stays_within_its_target():
    for (source, target), ids in _tables().items():
        table, num = label_table(source, target)
        assert num == len(ids) == (34 if source == 'raw34' else get_vocabulary(source).num_classes)
        assert table.dtype == np.uint8 and table.shape == (256, ) and (table[num:] == 255).all()
        assert set(table[:num]) <= {*range(get_vocabulary(target).num_classes), 255}
        assert table[0] == 0, 'background stays background'


def test_identity():
    for name, vocabulary in VOCABULARIES.items():
        assert label_table(name, name)[0][:vocabulary.num_classes].tolist() == list(range(vocabulary.num_classes))


def test_28_and_29():
    there, back = label_table('parts28', 'parts29')[0], label_table('parts29', 'parts28')[0]
    assert (back[there[:28]] == np.arange(28)).all() and back[PARTS29.classes.index('Eyeglass')] == 255
    for i, name in enumerate(PARTS28.classes):
        assert PARTS29.classes[there[i]] == name


def test_raw34():
    for name in RAW34_CLASSES:
        assert new_name(RAW34_CLASSES, PARTS28.classes, 'raw34', 'parts28', name) == (name if name in PARTS28.classes else None)
    assert new_name(RAW34_CLASSES, PARTS29.classes, 'raw34', 'parts29', 'Eyeglass_Lenses') == 'Eyeglass'


@pytest.mark.parametrize('lip, part', (
    ('Skirt', 'Lower_Clothing'), ('Coat', 'Upper_Clothing'), ('Left-shoe', 'Left_Shoe'), ('Left-arm', None), ('Dress', None),
    ('Sunglasses', None)))
def test_lip_to_parts(lip, part):
    assert new_name(LIP20.classes, PARTS28.classes, 'lip20', 'parts28', lip) == part


@pytest.mark.parametrize('part, lip', (
    ('Left_Hand', 'Left-arm'), ('Right_Upper_Leg', 'Right-leg'), ('Tongue', 'Face'), ('Right_Sock', 'Socks'), ('Torso', None),
    ('Lower_Clothing', None)))
def test_parts_to_lip(part, lip):
    assert new_name(PARTS28.classes, LIP20.classes, 'parts28', 'lip20', part) == lip


def test_torso_skin_of_cihp():
    assert label_table('cihp20', 'parts28')[0][10] == PARTS28.classes.index('Torso')
    assert label_table('lip20', 'parts28')[0][10] == 255 == label_table('cihp20', 'lip20')[0][10]
    assert label_table('parts28', 'cihp20')[0][PARTS28.classes.index('Torso')] == 10


def test_sides_stay_on_their_side():
    """Mirrored labels map to mirrored labels."""
    for (source, target) in _tables():
        if source == 'raw34':
            continue
        table = label_table(source, target)[0]
        swap = [np.arange(256), np.arange(256)]
        for s, name in zip(swap, (source, target)):
            for a, b in get_vocabulary(name).swap_pairs:
                s[[a, b]] = b, a
        assert (table[swap[0]] == swap[1][table]).all(), (source, target)


def test_unknown():
    with pytest.raises(ValueError, match="no vocabulary 'parts30'; there are parts28"):
        label_table('parts30', 'parts28')
    with pytest.raises(ValueError, match='no way from the classes face19 to parts28'):
        label_table('face19', 'parts28')
