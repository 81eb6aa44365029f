"""A video's results, written so that a run that was killed goes on and ends with the files of one that was not.

A run goes on at a whole segment: no batch of the network reaches from one segment into the next, so that a run which starts at a
segment computes exactly what a run that came by would have. Finished maps are in their own files; people are kept in a journal
until their one file is complete. The annotated video cannot be continued by its encoder: before the network goes on, the finished
frames are drawn and encoded anew.
"""
from __future__ import annotations

import json
import logging
import os
import shutil
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from queue import Queue
from threading import Thread

import cv2
import numpy as np
from mmengine.logging import print_log

from sapiens_mm.apis.base import SapiensBaseInferencer, progress
from sapiens_mm.apis.inputs import Item, Source
from sapiens_mm.apis.outputs import RunNote, write_image, write_json
from sapiens_mm.engine.atomic_file import atomic_path

SEGMENT = 32  # frames
Draw = Callable[[], np.ndarray]


def _ahead(items: Iterable[Item], count: int) -> Iterator[Item]:
    """The same items, got in a thread of their own: a video is decoded while the network runs."""
    iterator = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix='decode') as pool:
        waiting = deque(pool.submit(next, iterator, None) for _ in range(count))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, iterator, None))
            yield item


def _fit(frame: np.ndarray, width: int, height: int) -> np.ndarray:
    """A frame of another size, as large as it goes on black."""
    scale = min(width / frame.shape[1], height / frame.shape[0])
    w, h = max(round(frame.shape[1] * scale), 1), max(round(frame.shape[0] * scale), 1)
    canvas = np.zeros((height, width, 3), np.uint8)
    x, y = (width - w) // 2, (height - h) // 2
    canvas[y:y + h, x:x + w] = cv2.resize(frame, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return canvas


class _Encoder(Thread):
    """Encodes frames in order, in a thread of its own, which others draw for. All take the first one's size."""

    def __init__(self, path: Path, fps: float, drawers: int):
        super().__init__(name='encode', daemon=True)
        self.path, self.fps, self.frames = path, fps, 0
        self.drawers = ThreadPoolExecutor(drawers, thread_name_prefix='draw')
        self.queue: Queue = Queue(maxsize=2 * drawers)
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        writer = None
        try:
            while (drawn := self.queue.get()) is not None:
                frame = drawn.result()
                if writer is None:
                    height, width = frame.shape[:2]
                    writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter_fourcc(*'mp4v'), self.fps, (width, height))
                    if not writer.isOpened():
                        raise ValueError(f'this OpenCV cannot write {self.path.suffix} videos; give save_vis=False (--no-vis)')
                writer.write(frame if frame.shape[:2] == (height, width) else _fit(frame, width, height))
                self.frames += 1
        except BaseException as error:
            self.error = error
            while self.queue.get() is not None:  # nobody waits for a full queue
                pass
        finally:
            if writer is not None:
                writer.release()

    def put(self, draw: Draw) -> None:
        """Encode what the function returns."""
        self.queue.put(self.drawers.submit(draw))
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Wait for the last frame."""
        self.queue.put(None)
        self.join()
        self.drawers.shutdown()
        if self.error is not None:
            raise self.error

    def check(self) -> None:
        """Hold the file against what was put into it; OpenCV does not say when a disk is full."""
        written = int(cv2.VideoCapture(str(self.path)).get(cv2.CAP_PROP_FRAME_COUNT))
        if written != self.frames:
            raise OSError(f'{self.path} has {written} frames of {self.frames}: is the disk full?')


class _Keypoints:
    """All people of a video in one json, a line per frame; a journal of finished segments until it is complete."""

    def __init__(self, inferencer: SapiensBaseInferencer, source: Source, folder: Path, draw: dict, write: dict, save_vis: bool,
                 writers: int):
        self.inferencer, self.source, self.folder, self.draw, self.write = inferencer, source, folder, draw, write
        self.tracker = None
        if inferencer._track or inferencer._smooth:
            from sapiens_mm.apis.tracking import Tracker
            self.tracker = Tracker(source.fps, smooth=inferencer._smooth)
        self.segment: list[dict[str, np.ndarray]] = []
        self.size = (0, 0)
        self.file = None

    def settings(self) -> dict:
        return dict(track=self.inferencer._track, smooth=self.inferencer._smooth)

    def _journal(self, segment: int) -> Path:
        return self.folder / '.journal' / f'{segment:06d}.npz'

    def finished(self) -> int:
        segment = 0
        while self._journal(segment).is_file():
            segment += 1
        return segment * SEGMENT

    def restore(self, item: Item, image: np.ndarray) -> Draw:
        segment, at = divmod(item.index, SEGMENT)
        if at == 0:
            self.segment = [{} for _ in range(SEGMENT)]
            with np.load(self._journal(segment)) as content:
                for name in content.files:
                    index, _, key = name.partition('.')
                    self.segment[int(index)][key] = content[name]
        return self._line(item, image, self.segment[at])

    def add(self, item: Item, image: np.ndarray, prediction) -> Draw:
        if item.index % SEGMENT == 0:
            self.segment = []
        arrays = self.inferencer.arrays(prediction)
        self.segment.append(arrays)
        if len(self.segment) == SEGMENT:
            with atomic_path(self._journal(item.index // SEGMENT)) as path:
                np.savez(path, **{f'{i}.{key}': value for i, frame in enumerate(self.segment) for key, value in frame.items()})
        return self._line(item, image, arrays)

    def _line(self, item: Item, image: np.ndarray, arrays: dict[str, np.ndarray]) -> Draw:
        raw = shown = _people(arrays)
        extra, numbers = None, []
        if self.tracker is not None:
            numbers, smoothed = self.tracker(arrays['bboxes'], arrays['bbox_scores'], arrays['keypoints'])
            extra = [dict(track_id=number) for number in numbers]
            if self.tracker.smooth:
                shown = _people(dict(arrays, keypoints=smoothed))
                for more, person in zip(extra, self._dict(shown, item, image)['instances']):
                    more['keypoints_smoothed'] = person['keypoints']
        found = self._dict(raw, item, image, extra=extra)
        line, size = dict(frame=item.index, instances=found['instances']), (found['width'], found['height'])
        if self.file is None:
            self._open(size, found['keypoint_set'])
        elif size != self.size:
            line.update(width=size[0], height=size[1])
        self.file.write((',\n' if item.index else '') + json.dumps(line, separators=(',', ':')))

        def draw() -> np.ndarray:
            picture = self.inferencer.draw(image, shown, **self.draw)
            if numbers:
                from sapiens_mm.apis.tracking import draw_numbers
                draw_numbers(picture, arrays['bboxes'], numbers)
            return picture

        return draw

    def _dict(self, prediction, item: Item, image: np.ndarray, **more) -> dict:
        return self.inferencer.to_dict(prediction, item, image, digits=3, **self.write, **more)

    @property
    def _partial(self) -> Path:
        return self.folder / '.keypoints.partial.json'

    def _open(self, size: tuple[int, int], keypoint_set: str) -> None:
        from sapiens_mm.apis.keypoint_sets import KeypointSet
        names = KeypointSet(self.inferencer.num_keypoints, self.write.get('keypoints'), self.write.get('tier', 'certain')).names
        head = dict(video=Path(self.source.path).name, fps=self.source.fps, width=size[0], height=size[1],
                    keypoint_set=keypoint_set, keypoint_names=names)
        self.size, self.file = size, open(self._partial, 'w')
        self.file.write(json.dumps(head, separators=(',', ':'))[:-1] + ',"frames":[\n')

    def close(self, complete: bool) -> None:
        if self.file is None:
            return
        with self.file:
            if complete:
                self.file.write('\n]}\n')
        if complete:
            os.replace(self._partial, self.folder / 'keypoints.json')


def _people(arrays: dict[str, np.ndarray]):
    from mmengine.structures import InstanceData
    from mmpose.structures import PoseDataSample
    return PoseDataSample(pred_instances=InstanceData(**arrays))


class _Maps:
    """One file per frame. What a frame's picture cannot be drawn from again is kept as a picture until the end."""

    def __init__(self, inferencer: SapiensBaseInferencer, source: Source, folder: Path, draw: dict, write: dict, save_vis: bool,
                 writers: int):
        self.inferencer, self.folder, self.draw, self.write, self.writers = inferencer, folder, draw, write, writers
        self.keeps_pictures = save_vis and write.get('fmt') in ('png16', 'png', 'pooled', 'exr', 'exr16')
        self.pool = ThreadPoolExecutor(writers, thread_name_prefix='write')
        self.waiting: deque = deque()

    def settings(self) -> dict:
        return {}

    def _file(self, index: int) -> Path:
        return self.inferencer.done_file(self.folder / 'frames', f'{index:06d}', **self.write)

    def _picture(self, index: int) -> Path:
        return self.folder / '.journal' / f'{index:06d}.png'

    def finished(self) -> int:
        frame = 0
        while self._file(frame).is_file() and (not self.keeps_pictures or self._picture(frame).is_file()):
            frame += 1
        return frame // SEGMENT * SEGMENT

    def restore(self, item: Item, image: np.ndarray) -> Draw:
        if self.keeps_pictures:
            return lambda: cv2.imread(str(self._picture(item.index)))
        return lambda: self.inferencer.draw(image, self._read(self._file(item.index)), **self.draw)

    def _read(self, path: Path):
        if path.suffix == '.png':
            array = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        else:
            array = np.load(path)
            array = array['data'] if path.suffix == '.npz' else array
        if self.inferencer.task == 'features':
            return dict(features=array)
        import torch
        from mmengine.structures import PixelData
        from mmseg.structures import SegDataSample
        array = array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))
        sample = SegDataSample()
        sample.set_data({self.inferencer.field: PixelData(data=torch.from_numpy(array))})
        return sample

    def add(self, item: Item, image: np.ndarray, prediction) -> Draw:
        self.waiting.append(self.pool.submit(self.inferencer.write, self.folder / 'frames', item.name, prediction, item, image,
                                             **self.write))
        while len(self.waiting) > 4 * self.writers:
            self.waiting.popleft().result()

        def draw() -> np.ndarray:
            picture = self.inferencer.draw(image, prediction, **self.draw)
            if self.keeps_pictures:
                write_image(self._picture(item.index), picture)
            return picture

        return draw

    def close(self, complete: bool) -> None:
        self.pool.shutdown()
        while complete and self.waiting:
            self.waiting.popleft().result()


def _fingerprint(path: str) -> str:
    """Tells videos apart by their length and both ends."""
    size, end = os.path.getsize(path), 2**20
    with open(path, 'rb') as file:
        crc = zlib.crc32(file.read(end))
        file.seek(max(size - end, 0))
        return f'{size}-{zlib.crc32(file.read(end), crc):08x}'


def run_video(inferencer: SapiensBaseInferencer, source: Source, out_dir: Path, batch_size: int, options: dict, draw: dict,
              write: dict, save_vis: bool, overwrite: bool, readers: int, writers: int) -> dict:
    """Run over a video or a camera and write ``NAME/keypoints.json`` or ``NAME/frames/``, and ``NAME/vis.mp4``.

    Args:
        inferencer: Of any task.
        source: The video or camera.
        out_dir: Folder of the results.
        batch_size, readers, writers: See :class:`sapiens_mm.apis.base.SapiensBaseInferencer`.
        options, draw, write: Arguments of its ``prepare``, ``draw`` and ``write``.
        save_vis, overwrite: See there.

    Returns:
        As the inferencer's call; ``predictions`` is empty, they are in the files.

    Raises:
        ValueError: Not one frame can be read; the folder has results of another run.
    """
    camera = source.kind == 'camera'
    folder = out_dir / (source.path.replace(':', '_') if camera else Path(source.path).stem)
    journal, done, vis = folder / '.journal', folder / 'done.json', folder / 'vis.mp4'
    recorder = (_Keypoints if inferencer.task == 'pose' else _Maps)(inferencer, source, folder, draw, write, save_vis, writers)
    if camera and folder.is_dir() and not overwrite:
        raise ValueError(f'{folder} holds an earlier recording; give another out_dir, or overwrite=True (--overwrite)')
    if overwrite:  # before the note, so that a kill leaves no results of the earlier run under the new one
        for old in (journal, folder / 'frames'):
            shutil.rmtree(old, ignore_errors=True)
        for old in (done, vis, folder / 'keypoints.json'):
            old.unlink(missing_ok=True)
    settings = dict(inferencer.call_settings(inferencer._call_kwargs), batch_size=batch_size, segment=SEGMENT, save_vis=save_vis,
                    **draw, **write, **recorder.settings())
    if not camera:
        settings['video'] = [Path(source.path).name, _fingerprint(source.path)]
    note = RunNote(folder, inferencer.settings(settings), overwrite)
    if note.resumes and done.is_file():
        print_log(f'{source.path} is finished already: {folder}', logger='current')
        return dict(predictions=[], visualization=[], errors={}, num=0)
    done.unlink(missing_ok=True)
    finished = recorder.finished() if note.resumes else 0
    if finished:
        print_log(f'{source.path}: going on at frame {finished}', logger='current')
    partial_vis = folder / '.vis.partial.mp4'
    encoder = _Encoder(partial_vis, source.fps, writers) if save_vis else None
    frames, complete = 0, False

    def consume(result: Draw) -> None:
        nonlocal frames
        frames += 1
        if encoder is not None:
            encoder.put(result)
        step()

    items = _ahead(source.items, 2 * readers)
    try:
        with progress(inferencer.show_progress, source.length, 'frames') as step:
            for item in items:
                if item.index >= finished:
                    items = chain([item], items)
                    break
                image = item.load()
                consume(recorder.restore(item, image))
            try:
                for picture, prediction in inferencer.run(items, batch_size, readers, flush_every=SEGMENT, **options):
                    if picture.error is not None:
                        raise picture.error
                    consume(recorder.add(picture.item, picture.image, prediction))
            except KeyboardInterrupt:
                if not camera:
                    raise
        if not frames:
            raise ValueError(f'{source.path} has no frame that can be read')
        complete = True
    finally:
        recorder.close(complete)
        if encoder is not None:
            encoder.close()
    if encoder is not None:
        encoder.check()
        os.replace(partial_vis, vis)
    if source.length and frames < source.length:
        print_log(f'{source.path} says that it has {source.length} frames, and {frames} could be read', 'current', logging.WARNING)
    write_json(done, dict(frames=frames))
    shutil.rmtree(journal, ignore_errors=True)
    return dict(predictions=[], visualization=[], errors={}, num=frames - finished)
