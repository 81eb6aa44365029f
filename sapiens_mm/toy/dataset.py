"""Data sets of toy humans, in exactly the layouts of the real ones.

One rendering per picture feeds every layout, so all labels of a picture agree::

    OUT/images/{train,val}/000000.png                          pictures
    OUT/annotations/person_keypoints_{train,val}.json          COCO, 17 keypoints
    OUT/annotations/coco_wholebody_{train,val}.json            COCO-WholeBody, 133
    OUT/annotations/keypoints308_{train,val}.json              COCO style, 308 in ``keypoints``
    OUT/annotations/keypoints308_groups_val.json               308 by groups, one person per picture, as released
    OUT/parts/{train,val}/000000.png                           index map of the 28 parts
    OUT/dense/{train,val}/{images,masks,depths,normals}/       picture, mask, float32 .npy depth and normals
    OUT/toy_dataset.json                                       the arguments; written last

A picture's labels depend on the seed, the split and the picture's number alone.
"""
from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np

from sapiens_mm.pose.skeletons import common_keypoints, get_skeleton
from sapiens_mm.toy.scene import SHOTS, ToyScene, render_scene

MANIFEST = 'toy_dataset.json'
RENDERER = 5  # goes up when the same seed gives other pictures
SPLITS = ('train', 'val')
_CATEGORY = dict(id=1, name='person', supercategory='person')


def make_toy_dataset(out, num_train: int = 400, num_val: int = 100, size: tuple[int, int] = (256, 192),
                     persons: tuple[int, int] = (1, 1), seed: int = 0, workers: int = 1, dense: bool = True,
                     overwrite: bool = False, progress: bool = True, variety: float = 1.0,
                     framing: str = 'mixed') -> Path:
    """Render a data set of toy humans; a second call with the same arguments finds it finished and does nothing.

    The set grows in ``OUT.partial`` and gets its name when it is whole. A killed call goes on where it was.

    Args:
        out: Folder to make.
        num_train: Pictures in the training split.
        num_val: Pictures in the validation split.
        size: Picture size (H, W).
        persons: Fewest and most persons per picture.
        seed: Seed of the whole set.
        workers: Processes.
        dense: Also write parts, masks, depth and normals (about 0.8 MB per picture of 256 x 192).
        overwrite: Replace a toy data set made with other arguments.
        progress: Show a progress bar.
        variety, framing: What is drawn, see :func:`sapiens_mm.toy.scene.sample_scene`.

    Returns:
        The folder.

    Raises:
        ValueError: The folder holds something else, or an argument makes no sense.
    """
    out = Path(out)
    arguments = dict(num_train=int(num_train), num_val=int(num_val), size=[int(v) for v in size],
                     persons=[int(v) for v in persons], seed=int(seed), dense=bool(dense),
                     variety=float(variety), framing=framing, renderer=RENDERER)
    _check(arguments, workers)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        found = _read_manifest(out)
        if found == arguments:
            print(f'{out} is already made with these arguments; nothing to do')
            return out
        if found is None:
            raise ValueError(f'{out} exists and is not a toy data set; name a folder that does not exist yet')
        if not overwrite:
            raise ValueError(f'{out} holds a toy data set of other arguments ({_difference(found, arguments)}); '
                             'name another folder or give --overwrite')

    work = out.with_name(out.name + '.partial')
    if work.exists() and _read_manifest(work) != arguments:
        if _read_manifest(work) is None:
            raise ValueError(f'{work} is in the way and is not an unfinished toy data set; move it away')
        shutil.rmtree(work)
    if not work.exists():
        work.mkdir(parents=True)
        _write_json(work / MANIFEST, dict(arguments=arguments))
    _make_folders(work, dense)
    jobs = [(split, i) for split, n in zip(SPLITS, (num_train, num_val)) for i in range(n)]
    _render_all(work, jobs, arguments, workers, progress)
    for split, n in zip(SPLITS, (num_train, num_val)):
        _write_annotations(work, split, n, arguments)
    _put_in_place(work, out)
    return out


def _check(arguments: dict, workers: int) -> None:
    for name in ('num_train', 'num_val'):
        if arguments[name] < 0:
            raise ValueError(f'{name} must not be negative, got {arguments[name]}')
    if arguments['num_train'] + arguments['num_val'] == 0:
        raise ValueError('num_train and num_val are both 0: there is nothing to make')
    if len(arguments['size']) != 2 or min(arguments['size']) < 16:
        raise ValueError(f'size must be (H, W) with at least 16 pixels each way, got {arguments["size"]}')
    if len(arguments['persons']) != 2 or not 1 <= arguments['persons'][0] <= arguments['persons'][1] <= 255:
        raise ValueError(f'persons must be (fewest, most) with 1 <= fewest <= most <= 255, got {arguments["persons"]}')
    if not 0 <= arguments['variety'] <= 1:
        raise ValueError(f'variety lies between 0 and 1, got {arguments["variety"]}')
    if arguments['framing'] not in ('mixed', *SHOTS):
        raise ValueError(f'framing must be one of mixed, {", ".join(SHOTS)}, got {arguments["framing"]!r}')
    if arguments['seed'] < 0:
        raise ValueError(f'seed must not be negative, got {arguments["seed"]}')
    if workers < 1:
        raise ValueError(f'workers must be at least 1, got {workers}')


def _read_manifest(folder: Path) -> dict | None:
    """Arguments that a folder was made with, or None where it says none."""
    try:
        return json.loads((folder / MANIFEST).read_text())['arguments']
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _difference(found: dict, wanted: dict) -> str:
    return ', '.join(f'{k} {found.get(k)} there, {v} asked for' for k, v in wanted.items() if found.get(k) != v)


def _make_folders(work: Path, dense: bool) -> None:
    for split in SPLITS:
        folders = [f'frames/{split}', 'annotations']
        if dense:
            folders += [f'parts/{split}'] + [f'dense/{split}/{kind}' for kind in ('masks', 'depths', 'normals')]
        for folder in [f'images/{split}', *folders]:
            (work / folder).mkdir(parents=True, exist_ok=True)


def _render_all(work: Path, jobs: list, arguments: dict, workers: int, progress: bool) -> None:
    todo = [job for job in jobs if not _frame_path(work, *job).exists()]
    one = partial(_render_one, work, arguments)
    if progress:
        from rich.progress import track
    else:
        track = lambda sequence, *_, **__: sequence  # noqa: E731
    title = f'Rendering {len(todo)} toy pictures'
    if workers == 1 or len(todo) < 2 * workers:
        for job in track(todo, title):
            one(job)
        return
    # Fresh processes: a fork of one that has used OpenCV or torch may hang.
    with multiprocessing.get_context('spawn').Pool(workers, _quiet_worker) as pool:
        for _ in track(pool.imap_unordered(one, todo, chunksize=4), title, total=len(todo)):
            pass


def _quiet_worker() -> None:
    import cv2
    cv2.setNumThreads(0)


def _frame_path(work: Path, split: str, index: int) -> Path:
    return work / 'frames' / split / f'{index:06d}.json'


def _render_one(work: Path, arguments: dict, job: tuple[str, int]) -> None:
    """Render one picture and write its files; the small json that comes last says that the others are whole."""
    import cv2
    split, index = job
    scene = render_scene((arguments['seed'], SPLITS.index(split), index), tuple(arguments['size']),
                         tuple(arguments['persons']), variety=arguments['variety'],
                         framing=arguments['framing'])
    stem = f'{index:06d}'
    fast = [cv2.IMWRITE_PNG_COMPRESSION, 3]
    cv2.imwrite(str(work / f'images/{split}/{stem}.png'), scene.image, fast)
    if arguments['dense']:
        cv2.imwrite(str(work / f'parts/{split}/{stem}.png'), scene.parts, fast)
        cv2.imwrite(str(work / f'dense/{split}/masks/{stem}.png'), scene.mask.astype(np.uint8) * 255, fast)
        np.save(work / f'dense/{split}/depths/{stem}.npy', scene.depth)
        np.save(work / f'dense/{split}/normals/{stem}.npy', scene.normal)
    _write_json(_frame_path(work, split, index), _frame(scene))


def _frame(scene: ToyScene) -> list[dict]:
    """What the annotation files need of each person that the picture shows."""
    return [
        dict(keypoints=_flat(p.keypoints), jaw=_flat(p.jaw), bbox=list(p.bbox), area=p.area) for p in scene.persons
        if p.area > 0
    ]


def _flat(table: np.ndarray) -> list[float]:
    """x, y, v of K points in a row as COCO stores them: zeros where a point is not labelled."""
    table = np.where(table[:, 2:] > 0, table, 0)
    return [int(v) if i % 3 == 2 else round(float(v), 2) for i, v in enumerate(table.ravel())]


def _write_annotations(work: Path, split: str, count: int, arguments: dict) -> None:
    """The json files of one split, from the frames' small ones."""
    height, width = arguments['size']
    images = [dict(id=i + 1, file_name=f'{i:06d}.png', height=height, width=width) for i in range(count)]
    frames = [json.loads(_frame_path(work, split, i).read_text()) for i in range(count)]
    people = [(i + 1, person) for i, frame in enumerate(frames) for person in frame]
    info = dict(description=f'toy humans, {split}', version=str(RENDERER))

    def write(name: str, annotations: list[dict], keypoints: tuple, links, chosen=images, **extra) -> None:
        category = dict(_CATEGORY, keypoints=list(keypoints), skeleton=[[a + 1, b + 1] for a, b, _ in links])
        _write_json(
            work / 'annotations' / name,
            dict(info=dict(info, **extra), licenses=[], images=chosen, annotations=annotations, categories=[category]))

    body, all308 = get_skeleton(308).groups['body'], get_skeleton(308)
    body_names = [all308.keypoints[i] for i in body]
    body_links = [(body.index(a), body.index(b), c) for a, b, c in all308.links if a in body and b in body]
    coco17 = [_annotation(n, image, p, dict(keypoints=_take(p, body))) for n, (image, p) in enumerate(people, 1)]
    write(f'person_keypoints_{split}.json', coco17, body_names, body_links)
    write(f'coco_wholebody_{split}.json',
          [_annotation(n, image, p, _wholebody(p)) for n, (image, p) in enumerate(people, 1)], body_names, body_links)
    write(f'keypoints308_{split}.json',
          [_annotation(n, image, p, dict(keypoints=p['keypoints'])) for n, (image, p) in enumerate(people, 1)],
          all308.keypoints, all308.links)
    if split == 'val':
        largest = [(i + 1, max(frame, key=lambda p: p['area'])) for i, frame in enumerate(frames) if frame]
        shown = {image for image, _ in largest}
        write('keypoints308_groups_val.json', [_annotation(image, image, p, _groups(p)) for image, p in largest],
              all308.keypoints, all308.links, [im for im in images if im['id'] in shown],
              goliath_info={f'{ours}_keypoint_ids': list(all308.groups[group]) for ours, group in _GROUP_KEYS})


# Names of the released evaluation file -> groups of the skeleton.
_GROUP_KEYS = (('body', 'body'), ('foot', 'feet'), ('face', 'face'), ('left_hand', 'left_hand'),
               ('right_hand', 'right_hand'))


def _annotation(number: int, image: int, person: dict, keypoints: dict) -> dict:
    labelled = sum(v > 0 for v in keypoints['keypoints'][2::3])
    return dict(id=number, image_id=image, category_id=1, iscrowd=0, bbox=person['bbox'], area=person['area'],
                segmentation=[], num_keypoints=labelled, **keypoints)


def _take(person: dict, ids) -> list:
    return [v for i in ids for v in person['keypoints'][3 * i:3 * i + 3]]


def _groups(person: dict) -> dict:
    groups = get_skeleton(308).groups
    return dict(goliath_wholebody_kpts=person['keypoints'], keypoints=_take(person, groups['body']),
                foot_kpts=_take(person, groups['feet']), face_kpts=_take(person, groups['face']),
                lefthand_kpts=_take(person, groups['left_hand']), righthand_kpts=_take(person, groups['right_hand']))


def _wholebody(person: dict) -> dict:
    """COCO-WholeBody's keys. Its face contour is the jaw, its two hand roots are the wrists."""
    points: list = [None] * 133
    for ours, theirs in common_keypoints('inferred').items():
        points[theirs] = person['keypoints'][3 * ours:3 * ours + 3]
    for i in range(17):
        points[23 + i] = person['jaw'][3 * i:3 * i + 3]
    points[91], points[112] = points[9], points[10]
    out = dict(keypoints=points[:17], foot_kpts=points[17:23], face_kpts=points[23:91], lefthand_kpts=points[91:112],
               righthand_kpts=points[112:])
    boxes = {f'{part}_box': _box(out[f'{part}_kpts']) for part in ('face', 'lefthand', 'righthand')}
    parts = ('face', 'lefthand', 'righthand', 'foot')
    valid = {f'{part}_valid': any(p[2] > 0 for p in out[f'{part}_kpts']) for part in parts}
    return {**{k: [v for p in group for v in p] for k, group in out.items()}, **boxes, **valid}


def _box(points: list) -> list[float]:
    """Box (x, y, w, h) of labelled points with a margin of a tenth; zeros where there is none."""
    xy = np.array([p[:2] for p in points if p[2] > 0])
    if len(xy) == 0:
        return [0.0, 0.0, 0.0, 0.0]
    low, high = xy.min(axis=0), xy.max(axis=0)
    margin = 0.1 * (high - low) + 1
    return [round(float(v), 2) for v in (*(low - margin), *(high - low + 2 * margin))]


def _write_json(path: Path, content) -> None:
    temporary = path.with_name(path.name + '.tmp')
    temporary.write_text(json.dumps(content, separators=(',', ':')))
    os.replace(temporary, path)


def _put_in_place(work: Path, out: Path) -> None:
    """Give the finished folder its name; what had the name before goes after the new one is whole."""
    for split in SPLITS:
        link = work / f'dense/{split}/images'
        if link.parent.is_dir() and not link.exists():
            try:
                link.symlink_to(Path('../../images') / split, target_is_directory=True)
            except OSError:  # a file system without links
                shutil.copytree(work / f'images/{split}', link)
    old = out.with_name(out.name + '.old')
    if _read_manifest(old) is not None:  # of a call that was killed between the next lines
        shutil.rmtree(old)
    if out.exists():
        os.replace(out, old)
    os.replace(work, out)
    shutil.rmtree(out / 'frames')
    shutil.rmtree(old, ignore_errors=True)
