"""Several models over the same pictures."""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sapiens_mm.apis.base import SapiensBaseInferencer, progress
from sapiens_mm.apis.dense import DenseInferencer, DepthInferencer, NormalInferencer, PartsInferencer
from sapiens_mm.apis.inputs import open_source
from sapiens_mm.apis.outputs import RunNote, write_image
from sapiens_mm.apis.pose import PoseInferencer

TASKS = dict(pose=PoseInferencer, parts=PartsInferencer, depth=DepthInferencer, normal=NormalInferencer)


class SapiensInferencer:
    """Pose, parts, depth and normals at once, each with its own model; every picture is read once.

    Args:
        **models: ``pose``, ``parts``, ``depth``, ``normal``: an inferencer, or the arguments of one, as a dict, as
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
            if not isinstance(given, SapiensBaseInferencer):
                if isinstance(given, Mapping):
                    given = build(**dict(dict(device=device), **given))
                else:
                    given = build(*([given] if isinstance(given, str) else given), device=device)
            if not isinstance(given, build):
                raise ValueError(f'{task} needs a {build.__name__}, got a {type(given).__name__}')
            self.inferencers[task] = given

    def __call__(self, inputs, *, batch_size: int = 8, out_dir: str | os.PathLike | None = None, mask: bool = False,
                 bboxes=None, save_vis: bool = True, overwrite: bool = False, show_progress: bool = False,
                 keep: bool | None = None) -> dict:
        """Run all models over pictures.

        Args:
            inputs, batch_size, out_dir, save_vis, overwrite, keep: See :class:`sapiens_mm.apis.base.SapiensBaseInferencer`. Each
                task writes to its own folder below ``out_dir``.
            mask: Take the background out of depth and normals, with the parts that the same call finds.
            bboxes: See :class:`sapiens_mm.apis.boxes.Boxes`; of all tasks.

        Returns:
            ``predictions``: per picture a dict task -> prediction; ``errors``; ``num``.

        Raises:
            ValueError: ``mask`` without a parts model; a video, which the inferencers of the tasks take.
        """
        if mask and 'parts' not in self.inferencers:
            raise ValueError('mask=True takes the background from parts: give a parts model, too')
        source = open_source(inputs)
        if source.kind != 'images':
            raise ValueError('videos go through the inferencers of the single tasks')
        keep = out_dir is None if keep is None else keep
        kwargs = dict(bboxes=bboxes)
        options = {task: i._prepare_options(source, kwargs) for task, i in self.inferencers.items()}
        items, resumes = list(source.items), False
        if out_dir is not None:
            out_dir = Path(out_dir)
            settings = {t: i.settings(dict(i.call_settings(kwargs), mask=mask, save_vis=save_vis))
                        for t, i in self.inferencers.items()}
            if overwrite:
                for item in items:
                    for t, i in self.inferencers.items():
                        i.done_file(out_dir / t, item.name).unlink(missing_ok=True)
            resumes = RunNote(out_dir, settings, overwrite).resumes
        if resumes and not keep:
            items = [item for item in items
                     if not all(i.done_file(out_dir / t, item.name).is_file() for t, i in self.inferencers.items())]
        predictions, errors = [], {}
        with progress(show_progress, len(items), 'pictures') as step:
            for start in range(0, len(items), batch_size):
                chunk = items[start:start + batch_size]
                found: list[dict] = [{} for _ in chunk]
                pictures = {}
                for task, inferencer in self.inferencers.items():
                    for at, (picture, prediction) in enumerate(inferencer.run(
                            self._read_once(chunk, pictures), batch_size, **options[task])):
                        if picture.error is not None:
                            errors[picture.item.path or picture.item.name] = str(picture.error)
                            continue
                        if mask and task in ('depth', 'normal') and isinstance(inferencer, DenseInferencer):
                            inferencer.masked(prediction, self.inferencers['parts'].foreground(found[at]['parts']))
                        found[at][task] = prediction
                for item, results in zip(chunk, found):
                    step()
                    image = pictures.get(item.index)
                    for task, prediction in results.items():
                        inferencer = self.inferencers[task]
                        if out_dir is not None:
                            if save_vis:
                                write_image(out_dir / task / 'vis' / f'{item.name}.jpg', inferencer.draw(image, prediction))
                            inferencer.write(out_dir / task, item.name, prediction, item, image)
                    if keep:
                        predictions.append({t: self.inferencers[t].to_dict(p, item, image) for t, p in results.items()} or None)
        if source.length == 1 and errors:
            raise ValueError(next(iter(errors.values())))
        return dict(predictions=predictions, errors=errors, num=len(items))

    @staticmethod
    def _read_once(chunk, pictures: dict):
        """The items of a chunk, whose picture is kept when the first model has read it."""

        def load(item):
            if item.index not in pictures:
                pictures[item.index] = item.load()
            return pictures[item.index]

        for item in chunk:
            yield type(item)(item.name, lambda i=item: load(i), item.path, item.index)
