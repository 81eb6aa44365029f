"""People's keypoints in pictures and videos."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmpose.apis.inference import dataset_meta_from_config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.structures import PoseDataSample, merge_data_samples

from sapiens_mm.apis.base import Prepared, SapiensBaseInferencer
from sapiens_mm.apis.boxes import Boxes, boxes_settings, make_detector
from sapiens_mm.apis.inputs import Item, Source
from sapiens_mm.apis.keypoint_sets import KeypointSet
from sapiens_mm.apis.outputs import write_json
from sapiens_mm.pose.skeletons import get_skeleton
from sapiens_mm.pose.visualizer import draw_keypoints


class PoseInferencer(SapiensBaseInferencer):
    """Top-down pose: each person's box is cut out, and all people of several pictures go through the network together.

    Args:
        model, weights, device, **kwargs: See :class:`sapiens_mm.apis.base.SapiensBaseInferencer`.
        detector: Config of an mmdet person detector, or a function (H, W, 3) BGR -> (N, 5) such as a
            :class:`sapiens_mm.apis.boxes.PersonDetector`. Without one, boxes come with each call, or the whole picture counts as
            one person.
        detector_weights: Its checkpoint.
        bbox_thr, nms_thr: Boxes of the detector below that score, or overlapping a better one more than that, are dropped.

    Calls take, beside the arguments of the base class:
        bboxes: See :class:`sapiens_mm.apis.boxes.Boxes`.
        keypoints: ``'308'``, ``'133'``, ``'17'`` or ``'openpose25'``: the set and order given out; the model's own by default.
        tier: Which correspondences between the 308 and other sets count, ``'certain'`` by default.
        kpt_thr, draw_bbox: Of the overlay pictures.
        track, smooth: In a video: number people through, and add smoothed keypoints beside the raw ones.

    A prediction is a ``PoseDataSample``: ``pred_instances.keypoints`` (N, K, 2) in pixels (x, y) of the upright original picture,
    ``keypoint_scores`` (N, K), ``bboxes`` (N, 4), ``bbox_scores`` (N,). As a dict: ``instances``, one dict per person with
    ``keypoints``, ``keypoint_scores``, ``bbox``, ``bbox_score``.
    """

    task = 'pose'
    default_scope = 'mmpose'
    draw_options = frozenset({'kpt_thr', 'draw_bbox'})
    write_options = frozenset({'keypoints', 'tier'})
    call_options = frozenset({'bboxes', 'track', 'smooth'})
    dict_options = write_options

    def __init__(self, model=None, weights=None, device=None, *, detector=None, detector_weights: str | None = None,
                 bbox_thr: float = 0.3, nms_thr: float = 0.3, **kwargs):
        super().__init__(model, weights, device, **kwargs)
        self.detector = make_detector(detector, detector_weights, str(self.device), bbox_thr, nms_thr)
        self._boxes_from = detector, detector_weights, bbox_thr, nms_thr

    def _init_model(self, cfg, weights, device='cpu'):
        if 'head' not in cfg.model or 'out_channels' not in cfg.model.head:
            raise ValueError(f'{self.config_name} is no config of a pose model')
        model = super()._init_model(cfg, weights, device)
        if getattr(model.head, 'can_decode_fast', False):
            model.head.fast_decode = True
        return model

    def _init_pipeline(self, cfg):
        """The config's own test pipeline, so that results are those of the evaluation."""
        init_default_scope(cfg.get('default_scope', self.default_scope))
        self.num_keypoints = cfg.model.head.out_channels
        # The config says which keypoints these are. What checkpoints say may be of an older set.
        meta = dataset_meta_from_config(cfg, dataset_mode='test') or {}
        if len(meta.get('keypoint_id2name', ())) != self.num_keypoints:
            meta = (parse_pose_metainfo(get_skeleton(self.num_keypoints).dataset_info())
                    if self.num_keypoints in (17, 133, 308) else {})
        if 'flip_indices' not in meta and cfg.model.get('test_cfg', {}).get('flip_test'):
            raise ValueError(f'{self.config_name} does not say which of its {self.num_keypoints} keypoints mirror each other; give '
                             'flip_test=False, or a data set with metainfo in the config')
        self.dataset_meta = self.model.dataset_meta = meta
        return Compose(cfg.test_dataloader.dataset.pipeline)

    def _prepare_options(self, source: Source, kwargs: dict) -> dict:
        boxes = Boxes(kwargs.get('bboxes'), self.detector)
        boxes.check(source.length)
        KeypointSet(self.num_keypoints, kwargs.get('keypoints'), kwargs.get('tier', 'certain'))  # a wrong name costs no time
        if source.kind == 'images' and (kwargs.get('track') or kwargs.get('smooth')):
            raise ValueError('track and smooth are for videos')
        self._track, self._smooth = bool(kwargs.get('track')), bool(kwargs.get('smooth'))
        return dict(boxes=boxes)

    def call_settings(self, kwargs: dict) -> dict:
        """Where the boxes come from."""
        return boxes_settings(kwargs.get('bboxes'), *self._boxes_from)

    def prepare(self, item: Item, image: np.ndarray, boxes: Boxes) -> Prepared:
        """One sample per box of the picture."""
        found = boxes(item, image)
        samples = [self.pipeline(dict(img=image, img_path=item.path or item.name, bbox=box[None, :4], bbox_score=box[4:5],
                                      **self.dataset_meta)) for box in found]
        return Prepared(item, image, samples)

    def finish(self, prepared: Prepared) -> PoseDataSample:
        """All people of a picture in one data sample."""
        if prepared.results:
            return merge_data_samples(prepared.results)
        from mmengine.structures import InstanceData
        K = self.num_keypoints
        sample = PoseDataSample(metainfo=dict(img_path=prepared.item.path or prepared.item.name))
        sample.pred_instances = InstanceData(keypoints=np.zeros((0, K, 2)), keypoint_scores=np.zeros((0, K), np.float32),
                                             bboxes=np.zeros((0, 4), np.float32), bbox_scores=np.zeros(0, np.float32))
        return sample

    @staticmethod
    def arrays(prediction: PoseDataSample) -> dict[str, np.ndarray]:
        """Keypoints, scores and boxes of a data sample as arrays."""
        found = prediction.pred_instances
        return {key: np.asarray(found.get(key)) for key in ('keypoints', 'keypoint_scores', 'bboxes', 'bbox_scores')}

    def to_dict(self, prediction, item: Item, image: np.ndarray, keypoints: str | None = None, tier: str = 'certain',
                digits: int | None = None, extra: list[dict] | None = None) -> dict:
        """One picture's people as plain numbers; ``digits`` rounds coordinates, and scores to two digits more."""
        target = KeypointSet(self.num_keypoints, keypoints, tier)
        arrays = self.arrays(prediction)
        points, scores = target(arrays['keypoints'], arrays['keypoint_scores'])

        def plain(array, more: int = 0):
            array = np.asarray(array, np.float64)
            return (array if digits is None else array.round(digits + more)).tolist()

        people = [
            dict(bbox=plain(box), bbox_score=plain(score, 2), keypoints=plain(p), keypoint_scores=plain(s, 2), **more)
            for box, score, p, s, more in zip(arrays['bboxes'], arrays['bbox_scores'], points, scores, extra or [{}] * len(points))
        ]
        height, width = image.shape[:2]
        return dict(image=item.path or item.name, width=width, height=height, keypoint_set=target.name, instances=people)

    def write(self, folder: Path, name: str, prediction, item: Item, image: np.ndarray, **options) -> None:
        """``NAME.json`` with the keypoints' names."""
        content = self.to_dict(prediction, item, image, digits=3, **options)
        content['keypoint_names'] = KeypointSet(self.num_keypoints, options.get('keypoints')).names
        write_json(self.done_file(folder, name), content)

    def done_file(self, folder: Path, name: str, **options) -> Path:
        """``NAME.json``."""
        return folder / f'{name}.json'

    def draw(self, image: np.ndarray, prediction, kpt_thr: float = 0.3, draw_bbox: bool = False) -> np.ndarray:
        """The picture with the model's own keypoints."""
        arrays = self.arrays(prediction)
        if not len(arrays['keypoints']):
            return image.copy()
        if self.num_keypoints not in (17, 133, 308):
            raise ValueError(f'there is no skeleton to draw {self.num_keypoints} keypoints with; give save_vis=False')
        return draw_keypoints(image, arrays['keypoints'], arrays['keypoint_scores'], self.num_keypoints,
                              bboxes=arrays['bboxes'] if draw_bbox else None, score_thr=kpt_thr)
