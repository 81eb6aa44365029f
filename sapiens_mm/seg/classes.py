"""Class vocabularies of body-part and face-part segmentation: names, colours, mirror pairs, loss weights.

Figures from the release of Sapiens (Khirodkar et al., ECCV 2024), of LIP (Gong et al., CVPR 2017), CIHP (Gong et al.,
ECCV 2018) and FaceSynthetics (Wood et al., ICCV 2021).
"""
from __future__ import annotations

from dataclasses import dataclass

IGNORE_INDEX = 255


@dataclass(frozen=True)
class Vocabulary:
    """An ordered set of C classes; class 0 is the background.

    Attributes:
        classes: C class names; the position is the id.
        palette: C RGB colours.
        swap_pairs: Pairs of ids that change places in a mirrored picture.
        class_weight: C weights of the released training recipe's cross-entropy, or None where it has none.
    """

    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    swap_pairs: tuple[tuple[int, int], ...]
    class_weight: tuple[float, ...] | None = None

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.classes)


# 28 body parts, the vocabulary of the released part models.
PARTS28 = Vocabulary(
    classes=('Background', 'Apparel', 'Face_Neck', 'Hair', 'Left_Foot', 'Left_Hand', 'Left_Lower_Arm', 'Left_Lower_Leg',
         'Left_Shoe', 'Left_Sock', 'Left_Upper_Arm', 'Left_Upper_Leg', 'Lower_Clothing', 'Right_Foot', 'Right_Hand',
         'Right_Lower_Arm', 'Right_Lower_Leg', 'Right_Shoe', 'Right_Sock', 'Right_Upper_Arm', 'Right_Upper_Leg',
         'Torso', 'Upper_Clothing', 'Lower_Lip', 'Upper_Lip', 'Lower_Teeth', 'Upper_Teeth', 'Tongue'),
    palette=((50, 50, 50), (255, 218, 0), (128, 200, 255), (255, 0, 109), (189, 0, 204), (255, 0, 218), (0, 160, 204), (0,
         255, 145), (204, 0, 131), (182, 0, 255), (255, 109, 0), (0, 255, 255), (72, 0, 255), (204, 131, 0), (255, 0,
         0), (72, 255, 0), (189, 204, 0), (182, 255, 0), (102, 0, 204), (32, 72, 204), (0, 145, 255), (14, 204, 0),
         (0, 128, 72), (235, 205, 119), (115, 227, 112), (157, 113, 143), (132, 93, 50), (82, 21, 114)),
    swap_pairs=((4, 13), (5, 14), (6, 15), (7, 16), (8, 17), (9, 18), (10, 19), (11, 20)),
    class_weight=(0.1, 10, 3, 2, 4, 4, 2, 2, 6, 10, 3, 3, 1, 4, 4, 2, 2, 6, 10, 3, 3, 1, 1, 10, 10, 10, 10, 10))

# 29 body parts of the second generation: Eyeglass inserted at 2 moves every later id up by one.
PARTS29 = Vocabulary(
    classes=('Background', 'Apparel', 'Eyeglass', 'Face_Neck', 'Hair', 'Left_Foot', 'Left_Hand', 'Left_Lower_Arm',
         'Left_Lower_Leg', 'Left_Shoe', 'Left_Sock', 'Left_Upper_Arm', 'Left_Upper_Leg', 'Lower_Clothing',
         'Right_Foot', 'Right_Hand', 'Right_Lower_Arm', 'Right_Lower_Leg', 'Right_Shoe', 'Right_Sock',
         'Right_Upper_Arm', 'Right_Upper_Leg', 'Torso', 'Upper_Clothing', 'Lower_Lip', 'Upper_Lip', 'Lower_Teeth',
         'Upper_Teeth', 'Tongue'),
    palette=((50, 50, 50), (255, 218, 0), (14, 204, 182), (128, 200, 255), (255, 0, 109), (189, 0, 204), (255, 0, 218),
         (0, 160, 204), (0, 255, 145), (204, 0, 131), (182, 0, 255), (255, 109, 0), (0, 255, 255), (72, 0, 255), (204,
         131, 0), (255, 0, 0), (72, 255, 0), (189, 204, 0), (182, 255, 0), (102, 0, 204), (32, 72, 204), (0, 145,
         255), (14, 204, 0), (0, 128, 72), (235, 205, 119), (115, 227, 112), (157, 113, 143), (132, 93, 50), (82, 21,
         114)),
    swap_pairs=((5, 14), (6, 15), (7, 16), (8, 17), (9, 18), (10, 19), (11, 20), (12, 21)),
    class_weight=(0.1, 10, 10, 3, 2, 4, 4, 2, 2, 6, 10, 3, 3, 1, 4, 4, 2, 2, 6, 10, 3, 3, 1, 1, 10, 10, 10, 10, 10))

# LIP.
LIP20 = Vocabulary(
    classes=('Background', 'Hat', 'Hair', 'Glove', 'Sunglasses', 'UpperClothes', 'Dress', 'Coat', 'Socks', 'Pants',
         'Jumpsuits', 'Scarf', 'Skirt', 'Face', 'Left-arm', 'Right-arm', 'Left-leg', 'Right-leg', 'Left-shoe',
         'Right-shoe'),
    palette=((0, 0, 0), (128, 0, 0), (255, 0, 0), (0, 85, 0), (170, 0, 51), (255, 85, 0), (0, 0, 85), (0, 119, 221), (85,
         85, 0), (0, 85, 85), (85, 51, 0), (52, 86, 128), (0, 128, 0), (0, 0, 255), (51, 170, 221), (0, 255, 255),
         (85, 255, 170), (170, 255, 85), (255, 255, 0), (255, 170, 0)),
    swap_pairs=((14, 15), (16, 17), (18, 19)),
    class_weight=(0.1, 1.5, 1.0, 1.5, 1.5, 0.8, 1.2, 1.0, 1.5, 0.8, 1.2, 1.5, 1.5, 0.7, 1.0, 1.0, 1.0, 1.0, 1.5, 1.5))

# CIHP under the class names of LIP, as the release trains it. CIHP itself calls id 10 torso skin, not jumpsuits.
CIHP20 = Vocabulary(
    classes=('Background', 'Hat', 'Hair', 'Glove', 'Sunglasses', 'UpperClothes', 'Dress', 'Coat', 'Socks', 'Pants',
         'Jumpsuits', 'Scarf', 'Skirt', 'Face', 'Left-arm', 'Right-arm', 'Left-leg', 'Right-leg', 'Left-shoe',
         'Right-shoe'),
    palette=((0, 0, 0), (128, 0, 0), (255, 0, 0), (0, 85, 0), (170, 0, 51), (255, 85, 0), (0, 0, 85), (0, 119, 221), (85,
         85, 0), (0, 85, 85), (85, 51, 0), (52, 86, 128), (0, 128, 0), (0, 0, 255), (51, 170, 221), (0, 255, 255),
         (85, 255, 170), (170, 255, 85), (255, 255, 0), (255, 170, 0)),
    swap_pairs=((14, 15), (16, 17), (18, 19)),
    class_weight=(0.1, 1.5, 1.0, 1.5, 1.5, 0.8, 1.2, 1.0, 1.5, 0.8, 1.2, 1.5, 1.5, 0.7, 1.0, 1.0, 1.0, 1.0, 1.5, 1.5))

# FaceSynthetics.
FACE19 = Vocabulary(
    classes=('Background', 'Skin', 'Nose', 'Right_eye', 'Left_eye', 'Right_brow', 'Left_brow', 'Right_ear', 'Left_ear',
         'Mouth_interior', 'Top_lip', 'Bottom_lip', 'Neck', 'Hair', 'Beard', 'Clothing', 'Glasses', 'Headwear',
         'Facewear'),
    palette=((0, 0, 0), (128, 200, 255), (255, 200, 150), (0, 255, 127), (255, 99, 71), (30, 144, 255), (255, 140, 0),
         (238, 130, 238), (255, 215, 0), (82, 21, 114), (115, 227, 112), (235, 205, 119), (255, 182, 193), (255, 0,
         109), (169, 169, 169), (0, 128, 72), (0, 70, 130), (255, 215, 0), (75, 0, 130)),
    swap_pairs=((3, 4), (5, 6), (7, 8)),
    class_weight=None)

# The 34 classes of the raw annotation, and the ids among the 28 that they become; six of them are ignored.
RAW34_CLASSES = ('Background', 'Apparel', 'Chair', 'Eyeglass_Frame', 'Eyeglass_Lenses', 'Face_Neck', 'Hair', 'Headset', 'Left_Foot',
 'Left_Hand', 'Left_Lower_Arm', 'Left_Lower_Leg', 'Left_Shoe', 'Left_Sock', 'Left_Upper_Arm', 'Left_Upper_Leg',
 'Lower_Clothing', 'Lower_Spandex', 'Right_Foot', 'Right_Hand', 'Right_Lower_Arm', 'Right_Lower_Leg', 'Right_Shoe',
 'Right_Sock', 'Right_Upper_Arm', 'Right_Upper_Leg', 'Torso', 'Upper_Clothing', 'Visible_Badge', 'Lower_Lip',
 'Upper_Lip', 'Lower_Teeth', 'Upper_Teeth', 'Tongue')
RAW34_TO_PARTS28 = (
    0, 1, 255, 255, 255, 2, 3, 255, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    255, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 255, 23, 24, 25, 26, 27)

VOCABULARIES = dict(parts28=PARTS28, parts29=PARTS29, lip20=LIP20, cihp20=CIHP20, face19=FACE19)


def get_vocabulary(name: str) -> Vocabulary:
    """The vocabulary called ``name``; ``ValueError`` where there is none."""
    if name not in VOCABULARIES:
        raise ValueError(f'there is no vocabulary {name!r}; there are {", ".join(VOCABULARIES)}')
    return VOCABULARIES[name]
