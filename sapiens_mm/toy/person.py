"""What makes one person: shape, pose, expression and outfit, drawn at random and mirrored on demand.

Everything here is numbers; ``body`` turns them into solids, ``paint`` into colours.
"""
from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from sapiens_mm.toy.face import Expression

FINGERS = ('thumb', 'index', 'middle', 'ring', 'pinky')


@dataclass(frozen=True)
class Shape:
    """Proportions, 1 being average.

    Attributes:
        height: Of everything.
        leg: Length of the legs.
        arm: Length of the arms.
        girth: Thickness of the limbs and the trunk.
        shoulder: Width of the shoulders.
        hip: Width of the hips.
        belly: Depth of the belly.
        chest: Size of the breasts, 0 for none.
        head: Size of the head.
        hand: Size of the hands.
        nose: Size of the nose.
    """

    height: float = 1.0
    leg: float = 1.0
    arm: float = 1.0
    girth: float = 1.0
    shoulder: float = 1.0
    hip: float = 1.0
    belly: float = 1.0
    chest: float = 0.0
    head: float = 1.0
    hand: float = 1.0
    nose: float = 1.0


@dataclass(frozen=True)
class Outfit:
    """Clothes, hair and colours; colours are RGB in [0, 1], lengths along a limb are fractions of the limb.

    Attributes:
        skin: Skin colour.
        hair: Hair colour.
        iris: Iris colour.
        lip: Lip colour.
        hair_style: ``bald``, ``short``, ``medium``, ``long`` or ``bun``.
        hair_shift: Parting to one side, metres towards the person's left.
        top: ``bare``, ``tank``, ``tee`` or ``long``.
        sleeve: Covered fraction of the arm (upper 0..1, lower 1..2).
        neckline: Depth of the bare triangle under the neck, metres.
        top_pattern: Pattern and its parameters, see ``paint.pattern``.
        bottom_pattern: The same for trousers or skirt.
        leg_cover: Covered fraction of the leg (upper 0..1, lower 1..2).
        skirt: Length of the skirt, metres, 0 for none.
        footwear: ``shoe``, ``sock`` or ``bare``.
        sock: Covered fraction of the lower leg, from the ankle up.
        shoe_color: Shoe colour.
        sock_color: Sock colour.
        apparel: Any of ``hat``, ``belt``, ``backpack``, ``scarf``, ``watch``.
        apparel_color: Its colour.
        apparel_side: 1 for the left arm, -1 for the right one.
        texture_sign: -1 in a mirrored scene, so that patterns on the trunk are mirrored too.
        texture_seed: Seed of the skin's and the cloth's fine structure.
    """

    skin: tuple = (0.8, 0.6, 0.5)
    hair: tuple = (0.2, 0.13, 0.08)
    iris: tuple = (0.3, 0.2, 0.1)
    lip: tuple = (0.75, 0.35, 0.35)
    hair_style: str = 'short'
    hair_shift: float = 0.0
    top: str = 'tee'
    sleeve: float = 0.6
    neckline: float = 0.0
    top_pattern: dict = field(default_factory=lambda: dict(kind='plain', a=(0.2, 0.4, 0.7), b=(1.0, 1.0, 1.0)))
    bottom_pattern: dict = field(default_factory=lambda: dict(kind='plain', a=(0.2, 0.2, 0.3), b=(0.1, 0.1, 0.2)))
    leg_cover: float = 1.9
    skirt: float = 0.0
    footwear: str = 'shoe'
    sock: float = 0.15
    shoe_color: tuple = (0.2, 0.2, 0.2)
    sock_color: tuple = (0.9, 0.9, 0.9)
    apparel: tuple = ()
    apparel_color: tuple = (0.6, 0.1, 0.1)
    apparel_side: int = 1
    texture_sign: int = 1
    texture_seed: int = 0


@dataclass(frozen=True)
class PersonSpec:
    """One person.

    Attributes:
        shape: Proportions.
        pose: ``(bone, side)`` -> angles in radians about the bone's own x, y and z, applied z first, then x, then y;
            side is 0 for the bones of the trunk, 1 for left and -1 for right limbs.
            Limbs on both sides use the axes of the left one, so equal angles are mirror images of each other.
        expression: Face.
        outfit: Clothes, hair, colours.
        position: Where the person stands, metres, ``(x, z)`` on the ground.
        lift: Height of the lowest point over the ground, metres.
    """

    shape: Shape = Shape()
    pose: dict = field(default_factory=dict)
    expression: Expression = Expression()
    outfit: Outfit = field(default_factory=Outfit)
    position: tuple[float, float] = (0.0, 0.0)
    lift: float = 0.0

    def mirrored(self) -> PersonSpec:
        """The person on the other side of a mirror that stands in the plane x = 0: left and right change places."""
        pose = {}
        for (bone, side), (x, y, z) in self.pose.items():
            pose[bone, -side] = (x, y, z) if side else (x, -y, -z)
        outfit = replace(
            self.outfit, hair_shift=-self.outfit.hair_shift, apparel_side=-self.outfit.apparel_side,
            texture_sign=-self.outfit.texture_sign)
        return replace(
            self, pose=pose, expression=self.expression.mirrored(), outfit=outfit,
            position=(-self.position[0], self.position[1]))


def sample_person(rng: np.random.Generator, position=(0.0, 0.0), yaw: float | None = None, variety: float = 1.0) -> PersonSpec:
    """A random person.

    Args:
        rng: Source of chance.
        position: ``(x, z)`` on the ground, metres.
        yaw: Turn about the vertical, radians, 0 facing +z; drawn where not given: mostly within 60 degrees.
        variety: 0 to 1: from people who stand upright and face us to every pose and view.
    """
    shape = _sample_shape(rng)
    pose, lift, upright = _sample_pose(rng, variety)
    if yaw is None:
        yaw = np.deg2rad(rng.uniform(-60, 60) * variety if rng.random() >= 0.2 * variety else rng.uniform(-180, 180))
    x, _, z = pose['pelvis', 0]
    pose['pelvis', 0] = (x, float(yaw), z)
    outfit = _sample_outfit(rng, upright)
    if outfit.top == 'bare' and shape.chest:
        outfit = replace(outfit, top='tank')
    return PersonSpec(shape, pose, _sample_expression(rng), outfit, tuple(position), lift)


def _sample_shape(rng: np.random.Generator) -> Shape:
    n = lambda mean, std, low, high: float(np.clip(rng.normal(mean, std), low, high))  # noqa: E731
    curvy = rng.random() < 0.5
    return Shape(
        height=n(1, 0.07, 0.8, 1.15), leg=n(1, 0.05, 0.88, 1.12), arm=n(1, 0.04, 0.9, 1.1),
        girth=n(1, 0.1, 0.82, 1.3), shoulder=n(0.95 if curvy else 1.05, 0.05, 0.85, 1.2),
        hip=n(1.06 if curvy else 0.97, 0.05, 0.88, 1.2),
        belly=n(1, 0.12, 0.85, 1.5), chest=n(0.9, 0.25, 0.4, 1.4) if curvy else 0.0, head=n(1.04, 0.05, 0.93, 1.25),
        hand=n(1.05, 0.06, 0.9, 1.2), nose=n(1, 0.12, 0.75, 1.35))


def at_ease(usual: float, others: list[float], variety: float) -> list[float]:
    """Probabilities of the usual choice and of the others, from certainty at variety 0 to the given ones at 1."""
    return [usual + (1 - usual) * (1 - variety), *(p * variety for p in others)]


def _sample_pose(rng: np.random.Generator, variety: float) -> tuple[dict, float, bool]:
    """Angles of all joints, height over the ground, and whether a skirt would hang (legs nearly straight down)."""
    u = lambda low, high: float(np.deg2rad(rng.uniform(low, high)))  # noqa: E731
    pose: dict = {}
    legs = rng.choice(['stand', 'walk', 'sit', 'squat', 'jump'], p=at_ease(0.42, [0.28, 0.14, 0.1, 0.06], variety))
    lift = 0.0
    stride = u(12, 38) * (1 if rng.random() < 0.5 else -1)
    for side in (1, -1):
        swing = stride * side
        if legs == 'stand':
            hip, knee, ankle = (u(-6, 6), u(-5, 25), u(1, 12)), u(0, 10), u(-4, 4)
        elif legs == 'walk':
            hip, knee, ankle = (-swing, u(-5, 10), u(0, 5)), u(3, 15) + max(0.0, -swing) * 1.1, u(-10, 10)
        elif legs == 'sit':
            hip, knee, ankle = (u(-100, -65), u(0, 15), u(3, 25)), u(60, 100), u(-12, 12)
        elif legs == 'squat':
            hip, knee, ankle = (u(-75, -20), u(0, 20), u(5, 25)), u(25, 85), u(-25, 0)
        else:
            hip, knee, ankle = (u(-60, 15), u(0, 20), u(5, 30)), u(10, 95), u(15, 45)
        pose['upper_leg', side], pose['lower_leg', side], pose['foot', side] = hip, (knee, 0.0, 0.0), (ankle, 0.0, 0.0)
    if legs == 'jump':
        lift = float(rng.uniform(0.05, 0.35))

    arms, often = ['hang', 'akimbo', 'raise', 'spread', 'reach', 'free'], at_ease(1 / 6, [1 / 6] * 5, variety)
    both = rng.choice(arms, p=often)
    for side in (1, -1):
        arm = both if rng.random() < 0.75 else rng.choice(arms, p=often)
        if arm == 'hang':
            swing = stride * side * 0.8 if legs == 'walk' else u(-15, 15)
            shoulder, elbow, twist, roll = (swing, 0.0, u(5, 20)), u(5, 40), u(-40, 10), u(-70, 20)
        elif arm == 'akimbo':
            shoulder, elbow, twist, roll = (u(0, 20), 0.0, u(30, 50)), u(75, 110), u(-95, -65), u(-30, 10)
        elif arm == 'raise':
            shoulder, elbow, twist, roll = (u(-30, 20), 0.0, u(95, 165)), u(0, 70), u(-80, 80), u(-90, 90)
        elif arm == 'spread':
            shoulder, elbow, twist, roll = (u(-25, 15), 0.0, u(55, 100)), u(0, 60), u(-60, 60), u(-90, 90)
        elif arm == 'reach':
            shoulder, elbow, twist, roll = (u(-110, -40), 0.0, u(0, 35)), u(0, 90), u(-60, 20), u(-90, 60)
        else:
            shoulder, elbow, twist, roll = (u(-90, 30), u(-20, 20), u(5, 90)), u(0, 120), u(-80, 40), u(-90, 90)
        pose['upper_arm', side] = shoulder
        pose['lower_arm', side] = (-elbow, twist, 0.0)
        pose['hand', side] = (u(-15, 15), roll, u(-25, 25))
        curl = rng.choice([u(0, 12), u(15, 40), u(50, 85)], p=[0.45, 0.4, 0.15])
        spread = u(0, 9)
        for i, finger in enumerate(FINGERS[1:]):
            bend = float(np.clip(curl + u(-10, 10), -0.1, 1.5))
            if rng.random() < 0.1:
                bend = u(-5, 10)
            pose[finger + '1', side] = (spread * (i - 1.3), 0.0, -bend * 0.9)
            pose[finger + '2', side] = (0.0, 0.0, -bend)
            pose[finger + '3', side] = (0.0, 0.0, -bend * 0.7)
        bend = curl * 0.5 + u(-5, 10)
        pose['thumb1', side] = (u(-55, -30), 0.0, -u(10, 30))
        pose['thumb2', side] = (u(0, 12) + bend * 0.5, 0.0, -0.2 * bend)
        pose['thumb3', side] = (u(0, 10) + bend * 0.6, 0.0, -0.2 * bend)

    lean = u(-6, 14) if legs in ('stand', 'walk') else u(-5, 30)
    pose['pelvis', 0] = (lean * 0.3, 0.0, u(-4, 4))
    if rng.random() < 0.07 * variety:  # lying, falling, cartwheel
        pose['pelvis', 0] = (u(-90, 90), 0.0, u(-100, 100))
        lift = float(rng.uniform(0.0, 0.3))
    pose['spine', 0] = (lean * 0.4, u(-15, 15), u(-8, 8))
    pose['chest', 0] = (lean * 0.3, u(-15, 15), u(-6, 6))
    pose['neck', 0] = (u(-10, 12), u(-18, 18), u(-6, 6))
    pose['skull', 0] = (u(-14, 16), u(-22, 22), u(-10, 10))
    return pose, lift, legs in ('stand', 'walk') and abs(stride) < np.deg2rad(28)


def _sample_expression(rng: np.random.Generator) -> Expression:
    talks = rng.random() < 0.35
    return Expression(
        eye_open=float(rng.uniform(0.75, 1.2) if rng.random() < 0.92 else rng.uniform(0.25, 0.6)),
        brow_raise=float(rng.uniform(-0.002, 0.005)), gaze=(float(rng.uniform(-0.0045, 0.0045)),
                                                            float(rng.uniform(-0.0015, 0.002))),
        mouth_open=float(rng.uniform(0.004, 0.020) if talks else rng.uniform(0.0010, 0.0016)),
        smile=float(rng.uniform(-0.002, 0.007)))


def _hsv(h: float, s: float, v: float) -> tuple[float, float, float]:
    import colorsys
    return colorsys.hsv_to_rgb(h % 1.0, min(max(s, 0.0), 1.0), min(max(v, 0.0), 1.0))


def _sample_pattern(rng: np.random.Generator) -> dict:
    hue = rng.random()
    color = _hsv(hue, rng.uniform(0.05, 0.9), rng.uniform(0.15, 0.95))
    other = _hsv(hue + rng.normal(0, 0.2), rng.uniform(0, 0.9), rng.uniform(0.1, 1.0))
    kind = str(rng.choice(['plain', 'stripes', 'checks', 'dots', 'blotches'], p=[0.4, 0.2, 0.14, 0.12, 0.14]))
    angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    return dict(kind=kind, a=color, b=other, angle=float(angle), period=float(rng.uniform(0.03, 0.12)))


def _sample_outfit(rng: np.random.Generator, skirt_fits: bool) -> Outfit:
    tone = rng.beta(1.3, 1.3)  # 0 pale .. 1 dark
    skin = np.array([0.95, 0.78, 0.68]) * (1 - tone) + np.array([0.36, 0.24, 0.17]) * tone
    skin = skin * rng.uniform(0.92, 1.05) + rng.normal(0, 0.012, 3)
    lip = skin * np.array([0.92, 0.62, 0.62])
    if rng.random() < 0.3:
        lip = 0.4 * lip + 0.6 * np.array(_hsv(rng.uniform(0.93, 1.03), rng.uniform(0.5, 0.9), rng.uniform(0.5, 0.85)))
    hair = _hsv(rng.uniform(0.03, 0.12), rng.uniform(0.3, 0.8), rng.uniform(0.04, 0.35))
    if rng.random() < 0.2:
        hair = _hsv(rng.uniform(0.08, 0.14), rng.uniform(0.1, 0.6), rng.uniform(0.5, 0.9))
    if rng.random() < 0.06:
        hair = _hsv(rng.random(), 0.7, 0.7)
    top = str(rng.choice(['bare', 'tank', 'tee', 'long'], p=[0.1, 0.15, 0.4, 0.35]))
    sleeve = {'bare': 0.0, 'tank': 0.0, 'tee': rng.uniform(0.3, 0.95), 'long': rng.uniform(1.3, 2.05)}[top]
    skirt = rng.uniform(0.3, 0.55) if skirt_fits and rng.random() < 0.22 else 0.0
    cover = 0.0 if skirt else rng.uniform(1.75, 2.0) if rng.random() < 0.55 else rng.uniform(0.35, 1.5)
    footwear = str(rng.choice(['shoe', 'sock', 'bare'], p=[0.62, 0.16, 0.22]))
    sock = 0.0 if footwear == 'bare' or rng.random() < 0.2 else rng.uniform(0.05, 0.6)
    chance = dict(hat=0.16, belt=0.25, backpack=0.12, scarf=0.08, watch=0.25)
    rgb = lambda c: tuple(float(v) for v in np.clip(c, 0.02, 1))  # noqa: E731
    return Outfit(
        skin=rgb(skin), hair=rgb(hair), lip=rgb(lip),
        iris=_hsv(*((rng.uniform(0.05, 0.1), 0.7, rng.uniform(0.12, 0.4)) if rng.random() < 0.6 else
                    (rng.uniform(0.25, 0.6), 0.5, rng.uniform(0.35, 0.7)))),
        hair_style=str(rng.choice(['bald', 'short', 'medium', 'long', 'bun'], p=[0.08, 0.38, 0.2, 0.24, 0.1])),
        hair_shift=float(rng.normal(0, 0.004)), top=top, sleeve=float(sleeve),
        neckline=float(rng.uniform(0.03, 0.11) if rng.random() < 0.4 else 0.0),
        top_pattern=_sample_pattern(rng), bottom_pattern=_sample_pattern(rng),
        leg_cover=float(cover), skirt=float(skirt), footwear=footwear, sock=float(sock),
        shoe_color=_hsv(rng.random(), rng.uniform(0, 0.8), rng.uniform(0.05, 0.95)),
        sock_color=_hsv(rng.random(), rng.uniform(0, 0.5), rng.uniform(0.3, 1.0)),
        apparel=tuple(k for k, p in chance.items() if rng.random() < p),
        apparel_color=_hsv(rng.random(), rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9)),
        apparel_side=1 if rng.random() < 0.5 else -1, texture_seed=int(rng.integers(1 << 30)))
