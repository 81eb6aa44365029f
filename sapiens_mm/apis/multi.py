"""Several models over the same pictures."""
from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from sapiens_mm.apis.base import SapiensBaseInferencer, progress
from sapiens_mm.apis.dense import DepthInferencer, MapInferencer, NormalInferencer, PartsInferencer
from sapiens_mm.apis.features import FeatureInferencer
from sapiens_mm.apis.inputs import Item, open_source
from sapiens_mm.apis.outputs import Finished
from sapiens_mm.apis.pose import PoseInferencer

TASKS = dict(pose=PoseInferencer, parts=PartsInferencer, depth=DepthInferencer, normal=NormalInferencer, features=FeatureInferencer)


class SapiensInferencer:
    """Pose, parts, depth, normals and features at once, each with its own model; every picture is read once.

    Args:
        device: Of the inferencers that are built here.
        **models: ``pose``, ``parts``, ``depth``, ``normal``, ``features``: an inferencer, or the arguments of one, as a dict, as
            ``(config, weights)`` or as the name of a released model.

    Raises:
        ValueError: An unknown task, or none.
    """

    def __init__(self, *, device: str | None = None, **models):
        unknown = set(models) - set(TASKS)
        if unknown or not models:
            raise ValueError(f'give one or more of {", ".join(TASKS)}, got {", ".join(sorted(models)) or "none"}')
        self.inferencers: dict[str, SapiensBaseInferencer] = {}
        for task, build in TASKS.items():  # parts before the maps that it masks
            given = models.get(task)
            if given is None:
                continue
            if isinstance(given, (str, tuple, list)):
                given = build(*([given] if isinstance(given, str) else given), device=device)
            elif isinstance(given, Mapping):
                given = build(**dict(dict(device=device), **given))
            if not isinstance(given, build):
                raise ValueError(f'{task} needs a {build.__name__}, got a {type(given).__name__}')
            self.inferencers[task] = given

    def __call__(self, inputs, *, batch_size: int = 8, out_dir: str | os.PathLike | None = None, mask: bool = False,
                 bboxes=None, save_vis: bool = True, overwrite: bool = False, show_progress: bool = False,
                 keep: bool | None = None, writers: int = 4, **options) -> dict:
        """Run all models over pictures, a video or a camera.

        Args:
            inputs, batch_size, out_dir, save_vis, overwrite, keep, writers: See
                :class:`sapiens_mm.apis.base.SapiensBaseInferencer`. Each task writes to its own folder below ``out_dir``. Over a
                video with ``out_dir`` the models run one after the other, each as by itself; a camera's frames are written as
                pictures.
            mask: Take the background out of depth and normals, with the parts that the same call finds.
            bboxes: See :class:`sapiens_mm.apis.boxes.Boxes`; of all tasks but features.
            **options: Task -> further arguments of its inferencer's call: ``pose=dict(keypoints='17')``.

        Returns:
            ``predictions``: per picture a dict task -> prediction; ``errors``; ``num``.

        Raises:
            ValueError: ``mask`` without a parts model; arguments for a task that is not there, or that it does not know; a camera's
                folder holds an earlier recording.
        """
        if mask and 'parts' not in self.inferencers:
            raise ValueError('mask=True takes the background from parts: give a parts model, too')
        if set(options) - set(self.inferencers):
            raise ValueError(f'arguments for {", ".join(sorted(set(options) - set(self.inferencers)))}, but the models are for '
                             f'{", ".join(self.inferencers)}')
        calls = {t: {**({'bboxes': bboxes} if 'bboxes' in i.call_options else {}), **options.get(t, {})}
                 for t, i in self.inferencers.items()}
        split = {t: i.split_arguments(calls[t]) for t, i in self.inferencers.items()}  # a wrong name costs no time
        source = open_source(inputs)
        out_dir = None if out_dir is None else Path(out_dir)
        if source.kind == 'video' and out_dir is not None:
            return self._one_after_the_other(source.path, calls, mask, out_dir, batch_size=batch_size, save_vis=save_vis,
                                             overwrite=overwrite, show_progress=show_progress)
        keep = out_dir is None if keep is None else keep
        prepare = {t: i._prepare_options(source, calls[t]) for t, i in self.inferencers.items()}

        def done(item: Item, task: str) -> Path:
            return self.inferencers[task].done_file(out_dir / task, item.name, **split[task][1])

        items, total = source.items, source.length
        if out_dir is not None:
            earlier = [str(out_dir / t) for t in self.inferencers if (out_dir / t).is_dir()]
            if source.kind == 'camera' and earlier and not overwrite:
                raise ValueError(f'{earlier[0]} holds an earlier recording; give another out_dir, or overwrite=True')
            settings = {t: i.settings(dict(i.call_settings(calls[t]), mask=mask, save_vis=save_vis, **split[t][1],
                                           **(split[t][0] if save_vis else {})))
                        for t, i in self.inferencers.items()}
            finished = Finished(out_dir, settings, overwrite)
            if source.kind == 'images' and overwrite:
                items = list(items)
                for item in items:
                    for task in self.inferencers:
                        done(item, task).unlink(missing_ok=True)
            if source.kind == 'images' and not keep:
                items = [i for i in items if i not in finished or not all(done(i, task).is_file() for task in self.inferencers)]
                total = len(items)
        predictions, errors, count, waiting = [], {}, 0, deque()

        def store(item: Item, image, results: dict) -> None:
            for task, prediction in results.items():
                draw, write, _ = split[task]
                self.inferencers[task].store(out_dir / task, item, image, prediction, draw if save_vis else None, write)
            finished.add(item)

        with progress(show_progress, total, 'pictures') as step, \
                ThreadPoolExecutor(writers, thread_name_prefix='write') as pool:
            try:
                for chunk in _read_ahead(items, batch_size):
                    found = self._run(chunk, batch_size, prepare, mask, errors)
                    if source.length == 1 and errors:
                        raise ValueError(next(iter(errors.values())))
                    for item, results in zip(chunk, found):
                        step()
                        count += 1
                        if out_dir is not None and results:
                            waiting.append(pool.submit(store, item, item.load(), results))
                            while len(waiting) > 4 * writers:
                                waiting.popleft().result()
                        if keep:
                            predictions.append({t: self.inferencers[t].to_dict(p, item, item.load(), **split[t][2])
                                                for t, p in results.items()} or None)
            except KeyboardInterrupt:  # the only end that a camera has
                if source.kind != 'camera':
                    raise
            for future in waiting:
                future.result()
        return dict(predictions=predictions, errors=errors, num=count)

    def _run(self, chunk: list[Item], batch_size: int, prepare: dict, mask: bool, errors: dict) -> list[dict]:
        """Task -> prediction of every picture of a chunk; {} where it cannot be read."""
        found: list[dict] = [{} for _ in chunk]
        for task, inferencer in self.inferencers.items():
            for at, (picture, prediction) in enumerate(inferencer.run(chunk, batch_size, **prepare[task])):
                if picture.error is not None:
                    errors[picture.item.path or picture.item.name] = str(picture.error)
                    continue
                if mask and isinstance(inferencer, MapInferencer):
                    inferencer.masked(prediction, self.inferencers['parts'].foreground(found[at]['parts']))
                found[at][task] = prediction
        return found

    def _one_after_the_other(self, path: str, calls: dict, mask: bool, out_dir: Path, show_progress: bool, **kwargs) -> dict:
        """Every model over a video by itself, so that each can be interrupted and goes on; parts hand on their files as masks."""
        num = 0
        for task, inferencer in self.inferencers.items():
            masks = dict(masks=str(out_dir / 'parts' / Path(path).stem / 'frames')) \
                if mask and isinstance(inferencer, MapInferencer) else {}
            shown, inferencer.show_progress = inferencer.show_progress, show_progress
            try:
                num = max(num, inferencer(path, out_dir=out_dir / task, **calls[task], **masks, **kwargs)['num'])
            finally:
                inferencer.show_progress = shown
        return dict(predictions=[], errors={}, num=num)


def _read_ahead(items: Iterable[Item], size: int, readers: int = 4) -> Iterator[list[Item]]:
    """Items in chunks of ``size``, each with its picture read once; those of the next chunk are read meanwhile."""

    def read(item: Item) -> Item:
        future: Future = pool.submit(item.load)
        return Item(item.name, future.result, item.path, item.index)

    items = iter(items)
    with ThreadPoolExecutor(readers, thread_name_prefix='read') as pool:
        chunk = [read(item) for item in islice(items, size)]
        while chunk:
            following = [read(item) for item in islice(items, size)]
            yield chunk
            chunk = following
