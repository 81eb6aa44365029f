"""One rendering, many labels: they must agree with each other."""
from __future__ import annotations

import numpy as np

from sapiens_mm.toy.scene import render_scene


def test_same_seed_gives_the_same_picture_and_another_seed_another():
    a, b, c = (render_scene((5, i), (96, 72), (1, 2)) for i in (1, 1, 2))
    for name in ('image', 'depth', 'normal', 'parts', 'instance'):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_array_equal(a.persons[0].keypoints, b.persons[0].keypoints)
    assert not np.array_equal(a.image, c.image)
