"""What the inferencers share: strict loading, and a stream in which reading, network and writing overlap."""
from __future__ import annotations

import os
import sys
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.infer import BaseInferencer
from mmengine.logging import print_log
from mmengine.registry import MODELS, DefaultScope, init_default_scope
from torch import nn

from sapiens_mm.apis.inputs import Item, Source, open_source
from sapiens_mm.apis.outputs import Finished, write_image
from sapiens_mm.engine.checkpoint import LoadReport, load_model, read_checkpoint
from sapiens_mm.engine.hub import fetch
from sapiens_mm.engine.model_cards import MODEL_CARDS, check_belongs, find_card

PRECISIONS = dict(fp32=torch.float32, fp16=torch.float16, bf16=torch.bfloat16)


def package_config(relative: str) -> str:
    """Path of a config that comes with the package, given as below ``configs/``."""
    path = Path(__file__).resolve().parents[1] / '.mim' / 'configs' / relative
    if not path.is_file():
        raise FileNotFoundError(f'this installation has no config {relative}')
    return str(path)


@dataclass
class Prepared:
    """A picture that is ready for the network.

    Attributes:
        item, image: The picture.
        samples: What the network gets of it, one entry per person or one for the whole picture.
        context: What the inferencer wants back with the results.
        error: Why it cannot be used.
    """

    item: Item
    image: np.ndarray | None = None
    samples: list = field(default_factory=list)
    context: dict = field(default_factory=dict)
    error: Exception | None = None
    results: list = field(default_factory=list)
    missing: int = 0


@contextmanager
def progress(enabled: bool, total: int | None, unit: str) -> Iterator:
    """A line on the terminal with count, rate and remaining time; yields a function that counts one more."""
    if not enabled:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

    class Rate(ProgressColumn):

        def render(self, task):
            speed = task.finished_speed or task.speed
            return f'{speed:.2f} {unit}/s' if speed else ''

    columns = TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn()
    with Progress(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task(unit, total=total)
        yield lambda: bar.advance(task)


class SapiensBaseInferencer(BaseInferencer):
    """Runs one model over pictures, on mmengine's conventions.

    Args:
        model: Config path or object; or the name of a released model (``sapiens_mm.engine.model_cards``), whose config it means.
        weights: Checkpoint: a path, URL or ``hf://owner/repo/file[@revision]``; an exported ``.pt2`` or ``.onnx`` of
            ``tools/deployment/export.py``. For the name of a released model the default is its file on the Hugging Face hub.
        device: Such as ``'cuda:0'``; by default a GPU where there is one.
        precision: ``'fp32'``, ``'bf16'`` or ``'fp16'``, by autocast; heads hand out float32.
        compile: Compile the backbone's blocks with ``torch.compile``: once for all of them, again for the first batch of another
            size, and for one of a single sample; then no more.
        flip_test: Average with the mirrored picture; as in the config where None.
        trusted: Load a checkpoint that holds more than tensors and plain data. Only for files of your own.
        scope: Default scope; the config's where None.
        show_progress: Show count, rate and remaining time.

    Raises:
        FileNotFoundError, ValueError: No such file; a checkpoint that does not belong to the config or does not fill its model.
    """

    task: str
    default_scope: str

    def __init__(self, model: str | Config | None = None, weights: str | None = None, device: str | None = None, *,
                 precision: str = 'fp32', compile: bool = False, flip_test: bool | None = None, trusted: bool = False,
                 scope: str | None = None, show_progress: bool = False):
        if precision not in PRECISIONS:
            raise ValueError(f'precision must be one of {", ".join(PRECISIONS)}, got {precision!r}')
        card = find_card(model) if isinstance(model, str) and not os.path.isfile(model) else None
        if card is None and model is None and weights is not None:
            card = find_card(weights)
        if isinstance(model, str) and card is None and not os.path.isfile(model):
            raise FileNotFoundError(f'no config at {model}, and no released model has that name; there are '
                                    f'{", ".join(MODEL_CARDS)}')
        if card is not None:
            model, weights = package_config(card.config), weights or card.source
        if model is None:
            raise ValueError('give a config, or the name of a released model')
        if weights is None:
            raise ValueError('give the checkpoint that belongs to the config: weights=PATH, URL or hf://owner/repo/file')
        self.precision, self._compile, self._flip_test, self._trusted = precision, compile, flip_test, trusted
        self.weights = str(weights)
        self.config_name = model if isinstance(model, str) else getattr(model, 'filename', None) or 'the config'
        init_default_scope(scope or self.default_scope)
        super().__init__(model, weights, device, scope or self.default_scope, show_progress)

    # --- model -------------------------------------------------------------------------------------------------------

    def _init_model(self, cfg: ConfigDict, weights: str, device: str = 'cpu') -> nn.Module:
        """Build the model, hold the checkpoint against it, and load it strictly."""
        check_belongs(cfg, weights, self.config_name)
        self.device = torch.device(device)
        self._device_type = self.device.type
        exported = weights.endswith(('.pt2', '.onnx'))
        if exported and self._compile:
            raise ValueError(f'{weights} is an exported model, which is not compiled; leave compile out')
        checkpoint = None if exported else read_checkpoint(weights, self._trusted)  # a wrong file costs no building
        self.checkpoint_meta = checkpoint.meta if checkpoint else {}
        cfg.model.backbone.pop('init_cfg', None)
        if 'drop_path_rate' in cfg.model.backbone:  # nothing is dropped here, and blocks that are alike share what is compiled
            cfg.model.backbone.drop_path_rate = 0.
        self._adapt(cfg)
        scope = cfg.get('default_scope', self.default_scope)
        with DefaultScope.overwrite_default_scope(scope):
            with MODELS.switch_scope_and_registry(scope) as registry:
                model = registry.build(cfg.model)
        model.cfg = cfg
        self.load_report: LoadReport | None = None
        if exported:
            from sapiens_mm.engine.exported import run_exported
            run_exported(model, fetch(weights), device, self._trusted)
        else:
            self.load_report = load_model(model, checkpoint)
        model = model.to(device)
        model.eval()  # its return value is not relied on
        if self._compile:
            for block in model.backbone.layers:
                block.compile()
        return model

    def _adapt(self, cfg: ConfigDict) -> None:
        """Changes to the config before the model is built."""
        if self._flip_test is not None:
            cfg.model.setdefault('test_cfg', {})['flip_test'] = self._flip_test

    def _init_visualizer(self, cfg):
        """None: pictures are drawn by functions, in the threads that write."""

    def _init_collate(self, cfg):
        """Samples of a batch stay a list, as in the libraries' own evaluation."""
        return pseudo_collate

    def _load_model_from_metafile(self, model: str):
        raise FileNotFoundError(f'no config at {model}')

    def _autocast(self):
        if self.precision == 'fp32':
            return nullcontext()
        return torch.autocast(self._device_type, dtype=PRECISIONS[self.precision])

    @torch.no_grad()
    def forward(self, inputs: list, **kwargs) -> list:
        """The network on a batch of packed samples; one data sample each."""
        with self._autocast():
            return self.model.test_step(self.collate_fn(inputs))

    # --- what a task says ----------------------------------------------------------------------------------------------

    @abstractmethod
    def prepare(self, item: Item, image: np.ndarray, **options) -> Prepared:
        """A picture to samples for the network; called in reading threads."""

    @abstractmethod
    def finish(self, prepared: Prepared):
        """A picture's results, in original pixels, as a data sample; called where the network runs."""

    @abstractmethod
    def to_dict(self, prediction, item: Item, image: np.ndarray) -> dict:
        """A data sample as plain numbers and arrays, as ``predictions`` holds it."""

    @abstractmethod
    def draw(self, image: np.ndarray, prediction, **options) -> np.ndarray:
        """An overlay picture (H, W, 3), BGR."""

    @abstractmethod
    def write(self, folder: Path, name: str, prediction, item: Item, image: np.ndarray, **options) -> None:
        """Write a picture's results; the file of :meth:`done_file` last."""

    @abstractmethod
    def done_file(self, folder: Path, name: str, **options) -> Path:
        """The file whose presence says that a picture is finished."""

    # --- the stream ----------------------------------------------------------------------------------------------------

    def _prepared(self, items: Iterable[Item], readers: int, ahead: int, options: dict) -> Iterator[Prepared]:
        """Pictures in order, so many of them read and prepared ahead."""

        def work(item: Item) -> Prepared:
            try:
                return self.prepare(item, item.load(), **options)
            except (ValueError, OSError) as error:
                return Prepared(item, error=error)

        with ThreadPoolExecutor(readers, thread_name_prefix='read') as pool:
            waiting: deque[Future] = deque()
            try:
                for item in items:
                    waiting.append(pool.submit(work, item))
                    if len(waiting) > ahead:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def run(self, items: Iterable[Item], batch_size: int, readers: int = 4, flush_every: int | None = None,
            **options) -> Iterator[tuple[Prepared, object]]:
        """Pictures and their predictions, in order; people of several pictures share a batch.

        Args:
            items: Pictures.
            batch_size: Samples (people, or whole pictures) in one pass of the network.
            readers: Threads that read and prepare.
            flush_every: Let no batch reach across a multiple of so many pictures, so that a run that starts at such a multiple
                computes the same batches as one that comes by.
            **options: Of :meth:`prepare`.

        Yields:
            (picture, data sample), or (picture, None) with ``picture.error``.
        """
        queue: deque[tuple[Prepared, int]] = deque()
        open_pictures: deque[Prepared] = deque()

        def compute(least: int) -> None:
            while len(queue) >= max(least, 1):
                batch = [queue.popleft() for _ in range(min(batch_size, len(queue)))]
                for (picture, index), result in zip(batch, self.forward([p.samples[i] for p, i in batch])):
                    picture.results[index] = result
                    picture.samples[index] = None
                    picture.missing -= 1

        def finished() -> Iterator[tuple[Prepared, object]]:
            while open_pictures and not open_pictures[0].missing:
                picture = open_pictures.popleft()
                yield picture, None if picture.error else self.finish(picture)

        for count, picture in enumerate(self._prepared(items, readers, 2 * readers + batch_size, options), 1):
            picture.missing = len(picture.samples)
            picture.results = [None] * picture.missing
            open_pictures.append(picture)
            queue.extend((picture, i) for i in range(picture.missing))
            compute(batch_size)
            if flush_every and count % flush_every == 0:
                compute(1)
            yield from finished()
        compute(1)
        yield from finished()

    def settings(self, options: dict) -> dict:
        """Everything that changes results, for the note in their folder."""
        flip_test = bool((getattr(self.model, 'test_cfg', None) or {}).get('flip_test', False))
        stat = os.stat(fetch(self.weights))
        return dict(task=self.task, config=str(self.config_name), weights=self.weights,
                    weights_file=[stat.st_size, stat.st_mtime_ns],
                    precision=self.precision, flip_test=flip_test, **options)

    def _prepare_options(self, source: Source, kwargs: dict) -> dict:
        """Of the arguments of a call, those for :meth:`prepare`."""
        return {}

    # Names of the arguments of a call that go to draw(), to write(), and elsewhere; of those of write(), the ones for to_dict().
    draw_options: frozenset = frozenset()
    write_options: frozenset = frozenset()
    call_options: frozenset = frozenset()
    dict_options: frozenset = frozenset()

    def split_arguments(self, kwargs: dict) -> tuple[dict, dict, dict]:
        """Of a call's arguments those of :meth:`draw`, :meth:`write` and :meth:`to_dict`; ``ValueError`` for an unknown one."""
        known = self.draw_options | self.write_options | self.call_options
        if set(kwargs) - known:
            raise ValueError(f'unknown argument {", ".join(sorted(set(kwargs) - known))}; {type(self).__name__} takes '
                             f'{", ".join(sorted(known))}')
        draw, write, plain = ({k: v for k, v in kwargs.items() if k in names}
                              for names in (self.draw_options, self.write_options, self.write_options & self.dict_options))
        return draw, write, plain

    def store(self, folder: Path, item: Item, image: np.ndarray, prediction, draw: dict | None, write: dict,
              finished: Finished | None = None) -> None:
        """Write a picture's overlay (none where ``draw`` is None), then its results, then that it is finished."""
        if draw is not None:
            write_image(folder / 'vis' / f'{item.name}.jpg', self.draw(image, prediction, **draw))
        self.write(folder, item.name, prediction, item, image, **write)
        if finished is not None:
            finished.add(item)

    def __call__(self, inputs, return_datasamples: bool = False, batch_size: int = 8, *, out_dir: str | os.PathLike | None = None,
                 save_vis: bool = True, return_vis: bool = False, keep: bool | None = None, overwrite: bool = False,
                 readers: int = 4, writers: int = 4, **kwargs) -> dict:
        """Run over pictures or a video.

        Args:
            inputs: See :func:`sapiens_mm.apis.inputs.open_source`: a picture, folder, pattern, list, array (BGR), video, camera.
            return_datasamples: Predictions as data samples instead of dicts.
            batch_size: People (or whole pictures) per pass of the network.
            out_dir: Folder to write results to. A run over files that was interrupted leaves out those that are finished and have
                not changed; one over a video goes on where it stopped.
            save_vis: Write overlay pictures, or an annotated video, too.
            return_vis: Return overlay pictures (H, W, 3), BGR.
            keep: Return the predictions; by default only where nothing is written, because many do not fit into memory.
            overwrite: Make again what ``out_dir`` has.
            readers, writers: Threads.
            **kwargs: Of the task.

        Returns:
            ``predictions``: one entry per picture or frame, None where it could not be read; ``visualization``: likewise, or [];
            ``errors``: name -> why a picture was left out; ``num``: how many were worked on in this call.

        Raises:
            FileNotFoundError, ValueError: Nothing to read; the only picture is broken; an unknown argument.
        """
        draw, write, plain = self.split_arguments(kwargs)
        if batch_size < 1 or readers < 1 or writers < 1:
            raise ValueError('batch_size, readers and writers are at least 1')
        source = open_source(inputs)
        options, self._call_kwargs = self._prepare_options(source, kwargs), kwargs
        keep = out_dir is None if keep is None else keep
        if out_dir is None and (kwargs.get('track') or kwargs.get('smooth')):
            raise ValueError('tracks and smoothed keypoints of a video go to files: give out_dir')
        if source.kind != 'images' and out_dir is not None:
            from sapiens_mm.apis.video import run_video
            return run_video(self, source, Path(out_dir), batch_size, options, draw, write, save_vis, overwrite, readers, writers)

        items, total = source.items, source.length
        if out_dir is not None:
            out_dir, items = Path(out_dir), list(items)
            settings = self.settings(dict(draw if save_vis else {}, **write, save_vis=save_vis, **self.call_settings(kwargs)))
            finished = Finished(out_dir, settings, overwrite)
            for item in items if overwrite else ():  # so that a kill leaves none of the earlier run's beside the new ones
                self.done_file(out_dir, item.name, **write).unlink(missing_ok=True)
            if not keep:
                items = [i for i in items if i not in finished or not self.done_file(out_dir, i.name, **write).is_file()]
            if len(items) < total:
                print_log(f'{total - len(items)} of {total} pictures are finished already', logger='current')
            total = len(items)

        predictions, pictures, errors, waiting = [], [], {}, deque()

        count = 0
        with ThreadPoolExecutor(writers, thread_name_prefix='write') as pool, \
                progress(self.show_progress, total, 'pictures') as step:
            for picture, prediction in self.run(items, batch_size, readers, **options):
                item, image = picture.item, picture.image
                count += 1
                step()
                if picture.error is not None:
                    errors[item.path or item.name] = str(picture.error)
                    if source.length == 1:
                        raise picture.error
                    print_log(f'left out: {picture.error}', logger='current')
                elif out_dir is not None:
                    waiting.append(pool.submit(self.store, out_dir, item, image, prediction, draw if save_vis else None, write,
                                               finished))
                    while len(waiting) > 4 * writers:
                        waiting.popleft().result()
                if return_vis:
                    pictures.append(None if prediction is None else self.draw(image, prediction, **draw))
                if keep:
                    as_it_is = prediction is None or return_datasamples
                    predictions.append(prediction if as_it_is else self.to_dict(prediction, item, image, **plain))
            for future in waiting:
                future.result()
        if errors:
            print_log(f'{len(errors)} of {count} pictures could not be used', logger='current')
        return dict(predictions=predictions, visualization=pictures, errors=errors, num=count)

    def call_settings(self, kwargs: dict) -> dict:
        """Of the arguments of a call, those that change results and are neither drawn nor written with."""
        return {}

    # mmengine's three steps; the stream above does their work in threads.

    def _init_pipeline(self, cfg):
        raise NotImplementedError

    def visualize(self, inputs: list, preds: list, **kwargs) -> list[np.ndarray]:
        """Overlay pictures of data samples."""
        return [self.draw(image, prediction, **kwargs) for image, prediction in zip(inputs, preds)]

    def postprocess(self, preds: list, visualization: list, return_datasamples: bool = False, **kwargs) -> dict:
        """Pack predictions and pictures as :meth:`__call__` returns them."""
        return dict(predictions=preds, visualization=visualization)
