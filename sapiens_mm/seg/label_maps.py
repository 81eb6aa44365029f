"""From one class vocabulary to another, as lookup tables.

A class that is not one class of the other vocabulary is ignored there, rather than guessed: the arm of LIP is upper arm, lower
arm and hand of the 28 parts, its dress is upper and lower clothing.
"""
from __future__ import annotations

import numpy as np

from sapiens_mm.seg.classes import IGNORE_INDEX, PARTS28, PARTS29, RAW34_CLASSES, RAW34_TO_PARTS28, VOCABULARIES, get_vocabulary

# LIP and CIHP to the 28 parts, by name. Arms, legs, socks (no side), dresses, jumpsuits, gloves and glasses have no one class;
# hats and scarves are apparel of some kind, but the 28 parts do not say of which.
_LIP_TO_PARTS28 = dict(
    Background='Background', Hair='Hair', UpperClothes='Upper_Clothing', Coat='Upper_Clothing', Pants='Lower_Clothing',
    Skirt='Lower_Clothing', Face='Face_Neck')
_LIP_TO_PARTS28.update({'Left-shoe': 'Left_Shoe', 'Right-shoe': 'Right_Shoe'})

# The 28 parts to LIP. Lower clothing may be trousers or a skirt, apparel may be many things.
_PARTS28_TO_LIP = dict(
    Background='Background', Hair='Hair', Upper_Clothing='UpperClothes', Face_Neck='Face', Left_Sock='Socks', Right_Sock='Socks',
    **{mouth: 'Face' for mouth in ('Lower_Lip', 'Upper_Lip', 'Lower_Teeth', 'Upper_Teeth', 'Tongue')},
    **{f'{side}_{part}': f'{side}-{whole}' for side in ('Left', 'Right') for part, whole in dict(
        Hand='arm', Lower_Arm='arm', Upper_Arm='arm', Foot='leg', Lower_Leg='leg', Upper_Leg='leg', Shoe='shoe').items()})

# CIHP shares LIP's ids but for 10: LIP's jumpsuits are CIHP's torso skin.
_TORSO_SKIN = 10


def _by_name(source: tuple[str, ...], target: tuple[str, ...], names: dict[str, str]) -> list[int]:
    return [target.index(names[name]) if name in names else IGNORE_INDEX for name in source]


def _same_names(source: tuple[str, ...], target: tuple[str, ...]) -> list[int]:
    return _by_name(source, target, {name: name for name in source if name in target})


def _tables() -> dict[tuple[str, str], list[int]]:
    lip = VOCABULARIES['lip20'].classes
    tables = {
        ('raw34', 'parts28'): list(RAW34_TO_PARTS28),
        # The second generation has one class for frames and lenses.
        ('raw34', 'parts29'): _by_name(RAW34_CLASSES, PARTS29.classes, dict(
            {name: name for name in PARTS28.classes}, Eyeglass_Frame='Eyeglass', Eyeglass_Lenses='Eyeglass')),
        ('parts28', 'parts29'): _same_names(PARTS28.classes, PARTS29.classes),
        ('parts29', 'parts28'): _same_names(PARTS29.classes, PARTS28.classes),
    }
    for parts, name in ((PARTS28.classes, 'parts28'), (PARTS29.classes, 'parts29')):
        eyes = dict(Sunglasses='Eyeglass') if 'Eyeglass' in parts else {}
        there = _by_name(lip, parts, {**_LIP_TO_PARTS28, **eyes})
        back = _by_name(parts, lip, {**_PARTS28_TO_LIP, **{ours: theirs for theirs, ours in eyes.items()}})
        tables['lip20', name], tables[name, 'lip20'] = there, back
        tables['cihp20', name] = [parts.index('Torso') if i == _TORSO_SKIN else new for i, new in enumerate(there)]
        tables[name, 'cihp20'] = [_TORSO_SKIN if part == 'Torso' else new for part, new in zip(parts, back)]
    for pair in (('lip20', 'cihp20'), ('cihp20', 'lip20')):
        tables[pair] = [IGNORE_INDEX if i == _TORSO_SKIN else i for i in range(len(lip))]
    return tables


def label_table(source: str, target: str) -> tuple[np.ndarray, int]:
    """The lookup table from one vocabulary to another.

    Args:
        source: Vocabulary of the files: ``'parts28'``, ``'parts29'``, ``'lip20'``, ``'cihp20'``, ``'face19'`` or ``'raw34'``,
            the 34 classes of the raw annotation.
        target: Vocabulary of the model.

    Returns:
        (256,) uint8, new id of each id, 255 for what is ignored, and the number of classes of ``source``.

    Raises:
        ValueError: There is no such vocabulary, or no way from one to the other.
    """
    if source == target:
        ids = list(range(get_vocabulary(source).num_classes))
    else:
        tables = _tables()
        if (source, target) not in tables:
            for name in (source, target):
                if name != 'raw34':
                    get_vocabulary(name)
            raise ValueError(f'there is no way from the classes {source} to {target}; there are ' +
                             ', '.join(f'{a} to {b}' for a, b in sorted(tables)))
        ids = tables[source, target]
    table = np.full(256, IGNORE_INDEX, np.uint8)
    table[:len(ids)] = ids
    return table, len(ids)
