"""A video's results, written so that a run that was killed goes on and ends with the files of one that was not.

Finished frames are kept in a journal beside the results, in whole segments: no batch of the network reaches from one segment into
the next, so that a run which starts at a segment computes exactly what a run that came by would have. The annotated video cannot be
continued by its encoder; it is encoded anew from the journal while the network goes on.
"""
from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from queue import Queue
from threading import Thread

import cv2
import numpy as np
from mmengine.logging import print_log

from sapiens_mm.apis.base import SapiensBaseInferencer, progress
from sapiens_mm.apis.inputs import Item, Source
from sapiens_mm.apis.outputs import RunNote, write_json
from sapiens_mm.engine.atomic_file import atomic_path

SEGMENT = 32  # frames


class _Journal:
    """Predictions of finished frames, one file per segment."""

    def __init__(self, folder: Path, fresh: bool):
        self.folder = folder
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        self.finished = 0
        while self._file(self.finished).is_file():
            self.finished += 1

    def _file(self, segment: int) -> Path:
        return self.folder / f'{segment:06d}.npz'

    def write(self, segment: int, frames: list[dict[str, np.ndarray]]) -> None:
        arrays = {f'{i}.{key}': value for i, frame in enumerate(frames) for key, value in frame.items()}
        with atomic_path(self._file(segment)) as path:
            np.savez(path, count=len(frames), **arrays)

    def read(self, segment: int) -> list[dict[str, np.ndarray]]:
        with np.load(self._file(segment)) as content:
            frames: list[dict[str, np.ndarray]] = [{} for _ in range(int(content['count']))]
            for name in content.files:
                if name != 'count':
                    at, _, key = name.partition('.')
                    frames[int(at)][key] = content[name]
            return frames


class _Encoder(Thread):
    """Draws and encodes frames in order, in a thread of its own."""

    def __init__(self, path: Path, fps: float, draw):
        super().__init__(name='encode', daemon=True)
        self.path, self.fps, self.draw_frame = path, fps, draw
        self.queue: Queue = Queue(maxsize=8)
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        writer = None
        try:
            while (entry := self.queue.get()) is not None:
                frame = self.draw_frame(*entry)
                if writer is None:
                    height, width = frame.shape[:2]
                    writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter_fourcc(*'mp4v'), self.fps, (width, height))
                    if not writer.isOpened():
                        raise ValueError(f'this OpenCV cannot write {self.path.suffix} videos; give save_vis=False')
                writer.write(frame)
        except BaseException as error:
            self.error = error
            while self.queue.get() is not None:  # nobody waits for a full queue
                pass
        finally:
            if writer is not None:
                writer.release()

    def put(self, *entry) -> None:
        self.queue.put(entry)
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.queue.put(None)
        self.join()
        if self.error is not None:
            raise self.error


def _segments(items: Iterator[Item]) -> Iterator[list[Item]]:
    segment: list[Item] = []
    for item in items:
        segment.append(item)
        if len(segment) == SEGMENT:
            yield segment
            segment = []
    if segment:
        yield segment


def run_video(inferencer: SapiensBaseInferencer, source: Source, out_dir: Path, batch_size: int, options: dict, draw: dict,
              write: dict, save_vis: bool, overwrite: bool, readers: int) -> dict:
    """Run over a video or a camera and write ``NAME/keypoints.json`` or ``NAME/frames/``, and ``NAME/vis.mp4``.

    Args:
        inferencer: Of any task.
        source: The video or camera.
        out_dir: Folder of the results.
        batch_size, readers: See :class:`sapiens_mm.apis.base.SapiensBaseInferencer`.
        options, draw, write: Arguments of its ``prepare``, ``draw`` and ``write``.
        save_vis, overwrite: See there.

    Returns:
        As the inferencer's call; ``predictions`` is empty, they are in the files.
    """
    camera = source.kind == 'camera'
    name = source.path.replace(':', '_') if camera else Path(source.path).stem
    recorder = recorder_of(inferencer, source, write)
    extra = recorder.settings()
    if not camera:
        stat = os.stat(source.path)
        extra.update(video=str(Path(source.path).name), size=stat.st_size)
    if overwrite or camera:  # before the note, so that a kill leaves no results of the earlier run under the new one
        for old in ('.journal', 'frames'):
            shutil.rmtree(out_dir / name / old, ignore_errors=True)
    note = RunNote(out_dir / name, inferencer.settings(dict(batch_size=batch_size, save_vis=save_vis, **draw, **write, **extra)),
                   overwrite or camera)
    done = out_dir / name / 'done.json'
    if note.resumes and done.is_file():
        print_log(f'{source.path} is finished already: {out_dir / name}', logger='current')
        return dict(predictions=[], visualization=[], errors={}, num=0)
    done.unlink(missing_ok=True)
    recorder.resumes = note.resumes
    journal = _Journal(out_dir / name / '.journal', fresh=not note.resumes)
    if journal.finished:
        print_log(f'{source.path}: going on at frame {journal.finished * SEGMENT}', logger='current')
    encoder, partial = None, out_dir / name / '.vis.partial.mp4'
    if save_vis:
        encoder = _Encoder(partial, source.fps, lambda image, prediction: inferencer.draw(image, prediction, **draw))
    count = 0

    def consume(items: list[Item], images: list[np.ndarray], frames: list[dict[str, np.ndarray]]) -> None:
        for item, image, frame in zip(items, images, frames):
            prediction = recorder.restore(frame, item)
            recorder.add(item, image, prediction, out_dir / name)
            if encoder is not None:
                encoder.put(image, prediction)
            step()

    try:
        with progress(inferencer.show_progress, source.length, 'frames') as step:
            segments = enumerate(_segments(iter(source.items)))
            for number, items in segments:
                if number >= journal.finished:
                    segments = chain([(number, items)], segments)
                    break
                consume(items, [item.load() for item in items], journal.read(number))

            def frames_left() -> Iterator[Item]:
                for _, items in segments:
                    yield from items

            batch: list = []
            number = journal.finished

            def flush() -> None:
                nonlocal number
                frames = [recorder.arrays(prediction) for _, prediction in batch]
                journal.write(number, frames)
                consume([p.item for p, _ in batch], [p.image for p, _ in batch], frames)
                number += 1
                batch.clear()

            try:
                for picture, prediction in inferencer.run(frames_left(), batch_size, readers, flush_every=SEGMENT, **options):
                    if picture.error is not None:
                        raise picture.error
                    count += 1
                    batch.append((picture, prediction))
                    if len(batch) == SEGMENT:
                        flush()
            except KeyboardInterrupt:
                if not camera:
                    raise
            if batch:
                flush()
    finally:
        if encoder is not None:
            encoder.close()
    if encoder is not None and partial.is_file():
        os.replace(partial, out_dir / name / 'vis.mp4')
    recorder.close(out_dir / name)
    write_json(done, dict(frames=recorder.frames))
    shutil.rmtree(journal.folder, ignore_errors=True)
    return dict(predictions=[], visualization=[], errors={}, num=count)


class _PoseRecorder:
    """All frames of a video in one json."""

    resumes = False

    def __init__(self, inferencer, source: Source, write: dict):
        from sapiens_mm.apis.tracking import Tracker
        self.inferencer, self.source, self.write, self.frames = inferencer, source, write, 0
        self.tracker = Tracker(source.fps, smooth=inferencer._smooth) if inferencer._track or inferencer._smooth else None
        self.lines: list[str] = []

    def settings(self) -> dict:
        return dict(self.inferencer.call_settings(self.inferencer._call_kwargs), track=self.inferencer._track,
                    smooth=self.inferencer._smooth)

    def arrays(self, prediction) -> dict[str, np.ndarray]:
        return self.inferencer.arrays(prediction)

    def restore(self, frame: dict[str, np.ndarray], item: Item):
        from mmengine.structures import InstanceData
        from mmpose.structures import PoseDataSample
        return PoseDataSample(pred_instances=InstanceData(**frame))

    def add(self, item: Item, image: np.ndarray, prediction, folder: Path) -> None:
        found = self.inferencer.to_dict(prediction, item, image, digits=3, **self.write)
        if self.tracker is not None:
            for person, extra in zip(found['instances'], self.tracker(found['instances'])):
                person.update(extra)
        self.size = found['width'], found['height']
        self.set = found['keypoint_set']
        self.lines.append(json.dumps(dict(frame=item.index, instances=found['instances']), separators=(',', ':')))
        self.frames += 1

    def close(self, folder: Path) -> None:
        from sapiens_mm.apis.keypoint_sets import KeypointSet
        names = KeypointSet(self.inferencer.num_keypoints, self.write.get('keypoints'), self.write.get('tier', 'certain')).names
        head = dict(video=Path(self.source.path).name, fps=self.source.fps, width=self.size[0] if self.lines else 0,
                    height=self.size[1] if self.lines else 0, keypoint_set=self.set if self.lines else '', keypoint_names=names)
        with atomic_path(folder / 'keypoints.json') as path, open(path, 'w') as file:
            file.write(json.dumps(head, separators=(',', ':'))[:-1] + ',"frames":[\n' + ',\n'.join(self.lines) + '\n]}\n')


class _MapRecorder:
    """One file per frame."""

    resumes = False

    def __init__(self, inferencer, source: Source, write: dict):
        self.inferencer, self.write, self.frames = inferencer, write, 0

    def settings(self) -> dict:
        return self.inferencer.call_settings(self.inferencer._call_kwargs)

    def arrays(self, prediction) -> dict[str, np.ndarray]:
        if isinstance(prediction, dict):
            return prediction
        return dict(data=prediction.get(self.inferencer.field).data.numpy())

    def restore(self, frame: dict[str, np.ndarray], item: Item):
        if 'data' not in frame:
            return frame
        import torch
        from mmengine.structures import PixelData
        from mmseg.structures import SegDataSample
        sample = SegDataSample()
        sample.set_data({self.inferencer.field: PixelData(data=torch.from_numpy(frame['data']))})
        return sample

    def add(self, item: Item, image: np.ndarray, prediction, folder: Path) -> None:
        if not (self.resumes and self.inferencer.done_file(folder / 'frames', item.name, **self.write).is_file()):
            self.inferencer.write(folder / 'frames', item.name, prediction, item, image, **self.write)
        self.frames += 1

    def close(self, folder: Path) -> None:
        """Everything is written already."""


def recorder_of(inferencer: SapiensBaseInferencer, source: Source, write: dict):
    """What gathers a task's results of a video."""
    return (_PoseRecorder if inferencer.task == 'pose' else _MapRecorder)(inferencer, source, write)
