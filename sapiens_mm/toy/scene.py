"""A scene: persons, things, camera and light, drawn from a seed; and its picture with every label."""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sapiens_mm.toy.background import draw_background, waves
from sapiens_mm.toy.body import KIND, Body, build_body
from sapiens_mm.toy.camera import Camera, frame, look
from sapiens_mm.toy.keypoints import place_keypoints
from sapiens_mm.toy.paint import paint
from sapiens_mm.toy.person import PersonSpec, at_ease, sample_person
from sapiens_mm.toy.primitives import Primitives
from sapiens_mm.toy.render import Raster, cast_picture, cast_scattered, sees, surface

_FLIP = np.diag([-1.0, 1.0, 1.0])


@dataclass
class ToyPerson:
    """Labels of one person.

    Attributes:
        keypoints: (308, 3) x, y in pixels and visibility: 2 seen, 1 hidden by the person itself or by something else,
            0 outside the picture (x and y are kept).
        bbox: Tight box of the visible pixels, (x, y, width, height); zeros where none is visible.
        area: Number of visible pixels.
        instance_id: The person's value in ``ToyScene.instance``, from 1.
        keypoints_camera: (308, 3) the points in camera axes (x right, y down, z forward), metres.
        jaw: (17, 3) like ``keypoints``: the contour of the face in the order of COCO-WholeBody.
    """

    keypoints: np.ndarray
    bbox: tuple[float, float, float, float]
    area: int
    instance_id: int
    keypoints_camera: np.ndarray
    jaw: np.ndarray


@dataclass
class ToyScene:
    """A picture and its labels, all of one rendering.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        depth: (H, W) float32, metres along the optical axis, growing away from the camera; 0 where no person is.
        normal: (H, W, 3) float32 unit vectors in camera axes: x right, y up, z towards the camera; 0 where no person
            is.
        parts: (H, W) uint8 ids of the 28 body parts, 0 where no person is.
        mask: (H, W) bool, any person.
        instance: (H, W) uint8, which person (from 1), 0 for none.
        persons: The persons, in the order of their instance ids.
    """

    image: np.ndarray
    depth: np.ndarray
    normal: np.ndarray
    parts: np.ndarray
    mask: np.ndarray
    instance: np.ndarray
    persons: list[ToyPerson]


@dataclass(frozen=True)
class SceneSpec:
    """Everything that a picture is made from.

    Attributes:
        persons: The persons.
        things: Solids that are not persons, in world axes.
        thing_colors: (T, 3) their RGB colours.
        camera: The camera.
        light: Unit direction towards the light, world axes.
        ambient: Share of the light that comes from everywhere.
        tint: RGB colour of the light.
        background_seed: Seed of the surroundings.
        noise: Standard deviation of the sensor's noise, in [0, 1].
        blur: Standard deviation of the lens' blur in pixels of a 256-pixel-high picture.
    """

    persons: tuple[PersonSpec, ...]
    things: Primitives
    thing_colors: np.ndarray
    camera: Camera
    light: np.ndarray
    ambient: float
    tint: np.ndarray
    background_seed: int
    noise: float
    blur: float

    def mirrored(self) -> SceneSpec:
        """The whole scene in a mirror: persons with left and right exchanged, things, light, surroundings, camera."""
        return replace(
            self, persons=tuple(p.mirrored() for p in self.persons), things=self.things.transformed(_FLIP, np.zeros(3)),
            light=_FLIP @ self.light, camera=self.camera.mirrored())

    def rolled(self, angle: float) -> SceneSpec:
        """The scene with the picture's content turned clockwise by ``angle`` radians."""
        return replace(self, camera=self.camera.rolled(angle))


SHOTS = ('whole', 'cut', 'upper', 'head')


def sample_scene(seed, size: tuple[int, int] = (256, 192), num_persons: tuple[int, int] = (1, 1),
                 variety: float = 1.0, framing: str = 'mixed') -> SceneSpec:
    """A random scene.

    Args:
        seed: Anything that ``numpy.random.default_rng`` takes, for example ``(seed, index)``.
        size: Picture size (H, W).
        num_persons: Fewest and most persons.
        variety: 0 to 1: from whole people who stand upright and face us to every pose and view.
        framing: ``'whole'``, ``'cut'``, ``'upper'`` or ``'head'``, what the picture shows of a person; ``'mixed'`` draws it.

    Returns:
        The scene, the same for the same arguments in any process.
    """
    low, high = num_persons
    if not 0 <= low <= high:
        raise ValueError(f'num_persons must be (fewest, most) with 0 <= fewest <= most, got {num_persons}')
    if min(size) < 16:
        raise ValueError(f'a picture needs at least 16 pixels each way, got (H, W) = {tuple(size)}')
    if not 0 <= variety <= 1:
        raise ValueError(f'variety lies between 0 and 1, got {variety}')
    if framing not in ('mixed', *SHOTS):
        raise ValueError(f'framing must be one of mixed, {", ".join(SHOTS)}, got {framing!r}')
    rng = np.random.default_rng(seed)
    persons = []
    for i in range(int(rng.integers(low, high + 1))):
        if i == 0:
            position = (0.0, 0.0)
        else:
            side = 1 if (i % 2) else -1
            position = (side * ((i + 1) // 2) * rng.uniform(0.45, 0.85), rng.uniform(-4.0, 0.6))
        persons.append(sample_person(rng, position, variety=variety))
    bodies = [build_body(p) for p in persons]
    camera = _sample_camera(rng, bodies, size, variety, framing)
    things, colors = _sample_things(rng, camera)
    light = rng.normal(size=3) * (1.0, 0.6, 0.6) + (0, 0.9, 1.0)
    return SceneSpec(
        tuple(persons), things, colors, camera, light / np.linalg.norm(light), float(rng.uniform(0.42, 0.65)),
        np.clip(rng.normal(1.0, 0.06, 3), 0.8, 1.15) * rng.uniform(0.85, 1.1), int(rng.integers(1 << 40)),
        float(rng.uniform(0, 0.016)), float(rng.uniform(0.0, 0.5)))


def _sample_camera(rng: np.random.Generator, bodies: list[Body], size: tuple[int, int], variety: float,
                   framing: str) -> Camera:
    """Whole persons mostly; sometimes the upper half, the head, or a view that cuts people off."""
    focal = float(rng.uniform(0.9, 2.2)) * max(size)
    tilt = float(np.deg2rad(rng.normal(0, 4) if rng.random() >= 0.15 * variety else rng.uniform(-25, 25)))
    rotation = look(float(np.deg2rad(rng.normal(6, 9))), tilt)
    if not bodies:
        return frame(np.array([[0.0, 1.0, 0.0]]), np.array([0.9]), rotation, size, focal, 0.8)
    drawn = rng.choice(SHOTS, p=at_ease(0.62, [0.12, 0.16, 0.10], variety))
    shot = drawn if framing == 'mixed' else framing
    if shot in ('whole', 'cut'):
        chosen = [(b, np.ones(len(b.kind), dtype=bool)) for b in bodies]
    else:
        names = ('face', 'ear', 'hair', 'neck') + (('torso', ) if shot == 'upper' else ())
        kinds = [KIND[n] for n in names]
        body = bodies[int(rng.integers(len(bodies)))]
        chosen = [(body, np.isin(body.kind, kinds))]
    points = np.concatenate([end[keep] for b, keep in chosen for end in b.prims.ends])
    radii = np.concatenate([b.prims.reach[keep] for b, keep in chosen for _ in range(2)]) * 0.8
    if shot == 'cut':
        return frame(points, radii, rotation, size, focal, float(rng.uniform(1.1, 1.9)),
                     (float(rng.uniform(-0.35, 0.35)), float(rng.uniform(-0.35, 0.35))))
    return frame(points, radii, rotation, size, focal, float(rng.uniform(0.7, 0.98)),
                 (float(rng.uniform(-0.05, 0.05)), float(rng.uniform(-0.03, 0.03))))


def _sample_things(rng: np.random.Generator, camera: Camera) -> tuple[Primitives, np.ndarray]:
    """A few solids behind people, seldom one in front that hides a part of them."""
    rows, colors = [], []
    eye = -camera.rotation.T @ camera.translation
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.45, 0.25, 0.2, 0.1]))):
        in_front = rng.random() < 0.25
        depth = camera.translation[2] * (rng.uniform(0.55, 0.75) if in_front else rng.uniform(1.15, 1.8))
        depth = max(depth, 0.4)
        extent = np.array(camera.size[::-1]) / camera.focal * depth
        center = np.array([*(rng.uniform(-0.55, 0.55, 2) * extent), depth])
        radius = float(extent.min() * rng.uniform(0.03, 0.08) * (1 if in_front else 2))
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        axes = camera.rotation.T @ turn @ np.diag([1, rng.uniform(0.5, 1), 1])
        long = rng.random() < 0.5
        rows.append((axes, eye + camera.rotation.T @ center, radius * rng.uniform(2, 6) if long else 0.0, radius,
                     radius * (rng.uniform(0.5, 1) if long else 1)))
        colors.append(rng.uniform(0.05, 0.95, 3))
    if not rows:
        return Primitives(np.zeros((0, 3, 3)), np.zeros((0, 3)), *np.zeros((3, 0))), np.zeros((0, 3))
    return Primitives(*(np.array(column) for column in zip(*rows))), np.array(colors)


def render(spec: SceneSpec) -> ToyScene:
    """The picture of a scene with all its labels."""
    camera = spec.camera
    stage = _Stage(spec)
    raster = cast_picture(stage.prims, camera)
    hit = raster.index >= 0
    columns, rows = camera.rays()
    row, column = np.nonzero(hit)
    parts, color, normals = stage.look(columns[column], rows[row], raster.index[hit], raster.depth[hit])

    image = draw_background(spec.background_seed, camera)
    behind = image.copy()
    image[hit] = color
    _smooth_edges(stage, image, behind, hit)
    instance = np.zeros(camera.size, dtype=np.uint8)
    instance[hit] = stage.owner[raster.index[hit]]
    mask = instance > 0
    scene = ToyScene(
        image=_develop(spec, image), depth=np.where(mask, raster.depth, 0).astype(np.float32),
        normal=np.zeros((*camera.size, 3), dtype=np.float32), parts=np.zeros(camera.size, dtype=np.uint8), mask=mask,
        instance=instance, persons=[])
    # Camera axes have y down and z forward; the project's normals have y up and z towards the camera.
    scene.normal[hit] = normals * (1, -1, -1)
    scene.normal[~mask] = 0
    scene.parts[hit] = parts
    for i, (person, body) in enumerate(zip(spec.persons, stage.bodies)):
        scene.persons.append(_label(i + 1, person, body, stage, raster, instance, camera))
    return scene


def render_scene(seed, size: tuple[int, int] = (256, 192), num_persons: tuple[int, int] = (1, 1), mirror: bool = False,
                 roll: float = 0.0, variety: float = 1.0, framing: str = 'mixed') -> ToyScene:
    """Draw a scene from a seed and render it.

    Args:
        seed: Anything that ``numpy.random.default_rng`` takes, for example ``(seed, index)``.
        size: Picture size (H, W).
        num_persons: Fewest and most persons.
        mirror: Render the mirror image of the scene, persons with left and right exchanged.
        roll: Turn of the picture's content about its middle, radians, clockwise; after the mirror.
        variety, framing: See :func:`sample_scene`.

    Returns:
        The picture with its labels.
    """
    spec = sample_scene(seed, size, num_persons, variety, framing)
    if mirror:
        spec = spec.mirrored()
    return render(spec.rolled(roll) if roll else spec)


class _Stage:
    """All solids of a scene in camera axes, and how they look."""

    def __init__(self, spec: SceneSpec) -> None:
        self.spec = spec
        self.linear, self.shift = spec.camera.extrinsics
        self.bodies = [build_body(p) for p in spec.persons]
        world = [b.prims for b in self.bodies] + [spec.things]
        counts = [len(p) for p in world]
        self.prims = Primitives.concatenate(world).transformed(self.linear, self.shift)
        self.first = np.concatenate([[0], np.cumsum(counts)])
        self.owner = np.repeat(np.append(np.arange(1, len(self.bodies) + 1), 0), counts)  # (P,) instance id, 0: things

    def look(self, u, v, solid, depth) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Part (N,), lit RGB colour (N, 3) and normal in camera axes (N, 3) where N rays meet their solids."""
        spec, owner = self.spec, self.owner[solid]
        points = np.stack([u, v, np.ones(len(u))], axis=1) * depth[:, None]
        parts, color = np.zeros(len(solid), dtype=np.uint8), np.empty((len(solid), 3))
        for i, (person, body) in enumerate(zip(spec.persons, self.bodies)):
            mine = np.flatnonzero(owner == i + 1)
            which = solid[mine] - self.first[i]
            bone = body.bone[which]
            # camera -> world -> bone; frames are orthogonal, so the transpose is the inverse.
            local = (points[mine] - self.shift) @ self.linear - body.origins[bone]
            local = np.einsum('nji,nj->ni', body.frames[bone], local)
            parts[mine], color[mine] = paint(person, body, which, local)
        mine = np.flatnonzero(owner == 0)
        if len(mine):
            world = (points[mine] - self.shift) @ self.linear * ((-1, 1, 1) if spec.camera.mirror else 1)
            grain = waves(np.random.default_rng(spec.background_seed + 1), list(world.T), 0.15)
            color[mine] = spec.thing_colors[solid[mine] - self.first[-2]] * (1 + 0.25 * grain)[:, None]
        normals = surface(self.prims, solid, points)
        return parts, color * _shade(spec, normals, self.linear), normals


def _shade(spec: SceneSpec, normals: np.ndarray, linear: np.ndarray) -> np.ndarray:
    """(N, 3) light that reaches the surface, for normals in camera axes."""
    direct = np.clip(normals @ (linear @ spec.light), 0, None)
    facing = np.clip(-normals[:, 2], 0, 1)
    light = spec.ambient * (0.65 + 0.35 * facing) + (1.05 - spec.ambient) * direct
    return light[:, None] * spec.tint


# Four rays per pixel, a square turned a little, so that steep edges get four different shares.
_SUBPIXELS = np.array([[-0.125, -0.375], [0.375, -0.125], [0.125, 0.375], [-0.375, 0.125]])


def _smooth_edges(stage: _Stage, image: np.ndarray, behind: np.ndarray, hit: np.ndarray) -> None:
    """Cast more rays where neighbouring pixels differ, so that contours and small features are not jagged."""
    camera = stage.spec.camera
    near = hit.copy()
    near[1:] |= hit[:-1]
    near[:-1] |= hit[1:]
    near[:, 1:] |= hit[:, :-1]
    near[:, :-1] |= hit[:, 1:]
    differs = np.zeros_like(hit)
    for axis in (0, 1):
        step = np.abs(np.diff(image, axis=axis)).max(axis=2) > 0.08
        a, b = (differs[1:], differs[:-1]) if axis == 0 else (differs[:, 1:], differs[:, :-1])
        a |= step
        b |= step
    row, column = np.nonzero(differs & near)
    if len(row) == 0:
        return
    offsets = _SUBPIXELS @ camera.picture_turn.T
    cx, cy = camera.principal_point
    u = ((column[:, None] - cx + offsets[:, 0]) / camera.focal).ravel()
    v = ((row[:, None] - cy + offsets[:, 1]) / camera.focal).ravel()
    index, depth = cast_scattered(stage.prims, u, v)
    color = np.repeat(behind[row, column], len(offsets), axis=0)
    met = index >= 0
    color[met] = stage.look(u[met], v[met], index[met], depth[met])[1]
    image[row, column] = color.reshape(len(row), len(offsets), 3).mean(axis=1)


def _develop(spec: SceneSpec, image: np.ndarray) -> np.ndarray:
    """RGB in [0, 1] -> BGR uint8 with the lens' blur and the sensor's noise."""
    import cv2
    sigma = spec.blur * spec.camera.size[0] / 256
    if sigma > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    noise = np.random.default_rng(spec.background_seed + 2).normal(0, 1, image.shape[:2]).astype(np.float32)
    image = image + (spec.noise * (noise[:, ::-1] if spec.camera.mirror else noise))[..., None]
    return (np.clip(image[..., ::-1], 0, 1) * 255 + 0.5).astype(np.uint8)


def _label(instance_id: int, person: PersonSpec, body: Body, stage: _Stage, raster: Raster, instance: np.ndarray,
           camera: Camera) -> ToyPerson:
    """Keypoints, box and area of one person."""
    world, covered = place_keypoints(body, person.expression)
    points = world @ stage.linear.T + stage.shift
    in_front = points[:, 2] > 0.05
    pixels = camera.project(np.where(in_front[:, None], points, (0, 0, 1)))
    pixels[~in_front] = -1e4
    height, width = camera.size
    nearest = np.rint(pixels).astype(int)
    inside = in_front & ((nearest >= 0) & (nearest < (width, height))).all(axis=1)
    x, y = np.where(inside[:, None], nearest, 0).T
    seen = inside & ~covered & sees(stage.prims, points) & (instance[y, x] == instance_id)
    # What the pixel shows must be the very surface that carries the point: as deep as the point, but for the surface's
    # slope across the distance between point and pixel centre.
    gap = np.abs(raster.depth[y, x] - points[:, 2])
    seen &= np.where(seen, gap, 0) < 0.012 + 3 * points[:, 2] / camera.focal
    visibility = np.where(seen, 2, np.where(inside, 1, 0))
    table = np.concatenate([pixels, visibility[:, None]], axis=1)
    mine = instance == instance_id
    area, bbox = int(mine.sum()), (0.0, 0.0, 0.0, 0.0)
    if area:
        rows, columns = np.flatnonzero(mine.any(axis=1)), np.flatnonzero(mine.any(axis=0))
        bbox = (float(columns[0]), float(rows[0]), float(columns[-1] - columns[0] + 1), float(rows[-1] - rows[0] + 1))
    return ToyPerson(table[:308], bbox, area, instance_id, points[:308], table[308:])
