import json

import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation import CocoMetric, CocoWholeBodyMetric
from mmpose.structures import PoseDataSample

from sapiens_mm.pose.annotation import annotation_keypoints
from sapiens_mm.pose.metric import CommonKeypointsMetric, Keypoints308Metric
from sapiens_mm.pose.skeletons import common_keypoints, get_skeleton
from tests.pose.support import GROUP_KEYS, person, save, write_set

META = {n: parse_pose_metainfo(get_skeleton(n).dataset_info()) for n in (17, 133, 308)}
GROUPS = ('body', 'feet', 'face', 'left_hand', 'right_hand', 'hands')


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmpose')


def sample(ann, keypoints, scores=None, box_score=1.0, sample_id=None):
    """What a model hands to the metric for one person; ``keypoints`` (K, 2)."""
    x, y, w, h = ann['bbox']
    out = PoseDataSample(metainfo=dict(id=ann['id'] if sample_id is None else sample_id, img_id=ann['image_id'], category_id=1,
                                       ori_shape=(480, 640)))
    out.gt_instances = InstanceData(bboxes=np.array([[x, y, x + w, y + h]]), bbox_scores=np.array([box_score]),
                                    bbox_scales=np.array([[w, h]]) * 1.25)
    out.pred_instances = InstanceData(keypoints=np.asarray(keypoints, np.float64)[None],
                                      keypoint_scores=(np.ones(len(keypoints)) if scores is None else np.asarray(scores))[None])
    return out


def evaluate(metric, samples, meta, size=None):
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = meta
    for i in range(0, len(samples), 4):
        evaluator.process(samples[i:i + 4])
    return evaluator.evaluate(size or len(samples))


def people_of(content, number):
    return [(a, annotation_keypoints(a, number, content.get('info'))) for a in content['annotations']]


def of_308(path, content, move=0., **kwargs):
    samples = [sample(a, p[:, :2] + move) for a, p in people_of(content, 308)]
    return evaluate(Keypoints308Metric(ann_file=path, **kwargs), samples, META[308])


def test_truth_as_prediction(tmp_path):
    path, content = write_set(tmp_path, 308, pictures=False)
    result = of_308(path, content)
    assert all(name.startswith('keypoints308/') for name in result)
    for name in ('AP', 'AP .5', 'AP .75', 'AP (M)', 'AR', *(f'{g}_{s}' for g in GROUPS for s in ('AP', 'AR'))):
        assert result[f'keypoints308/{name}'] == pytest.approx(1.0), name


def test_known_displacement_crosses_the_thresholds(tmp_path):
    """One group is moved so that each of its points has the OKS that is wanted: d^2 = -2 area (2 sigma)^2 ln(OKS)."""
    path, content = write_set(tmp_path, 308, num_images=2, people=1, pictures=False)
    skeleton = get_skeleton(308)
    sigmas = np.array(skeleton.sigmas)
    for group in ('body', 'face', 'left_hand'):
        ids = list(skeleton.groups[group])
        for oks in (0.97, 0.81, 0.62, 0.48):
            samples = []
            for ann, points in people_of(content, 308):
                moved = points[:, :2].copy()
                moved[ids, 0] += np.sqrt(-2 * ann['area'] * (2 * sigmas[ids])**2 * np.log(oks))
                samples.append(sample(ann, moved))
            result = evaluate(Keypoints308Metric(ann_file=path), samples, META[308])
            passed = np.mean(oks > np.arange(0.5, 1.0, 0.05) - 1e-9)
            assert result[f'keypoints308/{group}_AP'] == pytest.approx(passed), (group, oks)
            assert result[f'keypoints308/{group}_AR'] == pytest.approx(passed), (group, oks)
            assert result['keypoints308/feet_AP'] == pytest.approx(1.0)
            whole = 1 - len(ids) / 308 * (1 - oks)  # the mean over all points
            assert result['keypoints308/AP'] == pytest.approx(np.mean(whole > np.arange(0.5, 1.0, 0.05) - 1e-9)), (group, oks)


def test_only_labelled_points_count(tmp_path):
    path, content = write_set(tmp_path, 308, pictures=False)
    skeleton = get_skeleton(308)
    samples = []
    for ann, points in people_of(content, 308):
        moved = points[:, :2].copy()
        moved[list(skeleton.groups['face'])] += 500
        moved[list(skeleton.groups['feet'])[0]] += 500
        samples.append(sample(ann, moved))
        points[list(skeleton.groups['face']), 2] = 0
        points[list(skeleton.groups['feet'])[0], 2] = 0
        ann['keypoints'] = points.reshape(-1).tolist()
    result = evaluate(Keypoints308Metric(ann_file=save(tmp_path / 'part.json', content)), samples, META[308])
    assert result['keypoints308/AP'] == result['keypoints308/feet_AP'] == pytest.approx(1.0)
    assert result['keypoints308/face_AP'] == -1  # nobody is labelled


def test_wrong_order_of_points_is_seen(tmp_path):
    path, content = write_set(tmp_path, 308, pictures=False)
    flip = list(get_skeleton(308).flip_indices)
    samples = [sample(a, p[flip, :2]) for a, p in people_of(content, 308)]
    result = evaluate(Keypoints308Metric(ann_file=path), samples, META[308])
    assert result['keypoints308/AP'] < 0.1 and result['keypoints308/body_AP'] < 0.5 and result['keypoints308/hands_AP'] < 0.1


@pytest.mark.parametrize('where', ['keypoints', 'scores'])
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_not_finite_counts_as_missed(tmp_path, where, value, monkeypatch):
    path, content = write_set(tmp_path, 308, num_images=4, people=1, pictures=False)
    said = []
    monkeypatch.setattr('sapiens_mm.pose.metric.print_log', lambda text, *_: said.append(text))
    for bad in (1, 4):
        samples = [sample(a, p[:, :2]) for a, p in people_of(content, 308)]
        for s in samples[:bad]:
            if where == 'keypoints':
                s.pred_instances.keypoints[0, 5] = value
            else:
                s.pred_instances.keypoint_scores[0, 5] = value
        result = evaluate(Keypoints308Metric(ann_file=path), samples, META[308])
        assert result['keypoints308/AR'] == pytest.approx(1 - bad / 4), bad
        assert f'{bad} of 4 predicted people' in said[-1]


def test_scores_rank_and_duplicates_go(tmp_path):
    path, content = write_set(tmp_path, 308, num_images=2, people=1, pictures=False)
    people = people_of(content, 308)
    right = [sample(a, p[:, :2], sample_id=i) for i, (a, p) in enumerate(people)]
    again = [sample(a, p[:, :2] + 0.01, box_score=0.9, sample_id=10 + i) for i, (a, p) in enumerate(people)]
    assert evaluate(Keypoints308Metric(ann_file=path), right + again, META[308])['keypoints308/AP'] == pytest.approx(1.0)
    wrong = [sample(a, p[:, :2] + 100, box_score=0.5, sample_id=20 + i) for i, (a, p) in enumerate(people)]
    assert evaluate(Keypoints308Metric(ann_file=path), right + wrong, META[308])['keypoints308/AP'] == pytest.approx(1.0)
    for s in wrong:
        s.gt_instances.bbox_scores[:] = 2.0
    assert evaluate(Keypoints308Metric(ann_file=path), right + wrong, META[308])['keypoints308/AP'] < 0.7
    # Points below 0.2 do not lift the score: the same two people, wrong ones now with half of the points certain.
    scores = np.where(np.arange(308) % 2, 0.15, 0.9)
    metric = Keypoints308Metric(ann_file=path, outfile_prefix=str(tmp_path / 'out' / 'res'))
    evaluate(metric, [sample(*people[0][:1], people[0][1][:, :2], scores, box_score=0.5)], META[308])
    written = json.loads((tmp_path / 'out' / 'res.keypoints.json').read_text())
    assert len(written) == 1 and written[0]['score'] == pytest.approx(0.5 * 0.9)
    assert sorted(f.name for f in (tmp_path / 'out').iterdir()) == ['res.keypoints.json']


def test_format_only(tmp_path):
    path, content = write_set(tmp_path, 308, pictures=False)
    assert of_308(path, content, format_only=True, outfile_prefix=str(tmp_path / 'res')) == {}
    written = json.loads((tmp_path / 'res.keypoints.json').read_text())
    assert len(written) == 6 and all(len(w['keypoints']) == 3 * 308 for w in written)


def test_reference_layout_gives_the_same(tmp_path):
    path, content = write_set(tmp_path, 308, pictures=False)
    rng = np.random.default_rng(3)
    noise = [rng.normal(0, 2, (308, 2)) for _ in content['annotations']]
    people = people_of(content, 308)
    plain = evaluate(Keypoints308Metric(ann_file=path), [sample(a, p[:, :2] + n) for (a, p), n in zip(people, noise)], META[308])
    groups = get_skeleton(308).groups
    for ann, points in people:
        ann['goliath_wholebody_kpts'] = points.reshape(-1).tolist()
        ann.update({key: points[list(groups[name])].reshape(-1).tolist() for name, key in GROUP_KEYS.items()})
    path = save(tmp_path / 'groups.json', content)
    grouped = evaluate(Keypoints308Metric(ann_file=path), [sample(a, p[:, :2] + n) for (a, p), n in zip(people, noise)], META[308])
    assert plain == pytest.approx(grouped) and 0 < plain['keypoints308/body_AP'] < 1


def test_finds_the_annotations_of_the_data_set(tmp_path):
    path, content = write_set(tmp_path, 308, pictures=False)
    with pytest.raises(ValueError, match='ann_file'):
        of_308(None, content)
    MessageHub.get_current_instance().update_info('keypoints308_ann_file', path)
    assert of_308(None, content)['keypoints308/AP'] == pytest.approx(1.0)


def test_refusals(tmp_path):
    path, content = write_set(tmp_path, 308, pictures=False)
    ann, points = people_of(content, 308)[0]
    with pytest.raises(ValueError, match='133'):
        evaluate(Keypoints308Metric(ann_file=path), [sample(ann, points[:133, :2])], META[308])
    with pytest.raises(ValueError, match='iou_type'):
        Keypoints308Metric(ann_file=path, iou_type='keypoints_crowd')
    del content['annotations'][0]['area']
    with pytest.raises(ValueError, match='area'):
        of_308(save(tmp_path / 'area.json', content), content)
    assert of_308(save(tmp_path / 'area.json', content), content, use_area=False)['keypoints308/AP'] == pytest.approx(1.0)
    for wrong in (dict(pairs=[(0, 0), (0, 1)]), dict(pairs=[(308, 0)]), dict(pairs=[(0, 133)]), dict(pairs=[]), dict(tier='sure'),
                  dict(tier='certain', pairs=[(0, 0)])):
        with pytest.raises(ValueError):
            CommonKeypointsMetric(ann_file=path, **wrong)


class TestPhotographs:
    """Against mmpose's own metrics, on people of COCO."""

    @pytest.fixture
    def coco(self, shared_dir):
        folder = shared_dir / 'data' / 'coco'
        return folder, json.loads((folder / 'test_coco_wholebody.json').read_text())

    def noisy(self, content, number, ids=None, scale=0.03):
        """Predictions with errors that grow with the person, and a false one; in 308 slots where ``ids`` says which."""
        rng, samples = np.random.default_rng(5), []
        for k, (ann, points) in enumerate(people_of(content, number)):
            if ann['iscrowd']:
                continue
            error = rng.normal(0, scale * np.sqrt(ann['area']), (number, 2)) * rng.choice([0.3, 1, 2])
            keypoints, scores = points[:, :2] + error, rng.uniform(0.1, 1, number)
            if ids is not None:
                full, full_scores = np.full((308, 2), 7.0), np.full(308, 0.5)
                full[list(ids)], full_scores[list(ids)] = keypoints[list(ids.values())], scores[list(ids.values())]
                keypoints, scores = full, full_scores
            samples.append(sample(ann, keypoints, scores, box_score=rng.uniform(0.3, 1), sample_id=k))
            if k % 3 == 0:
                samples.append(sample(ann, keypoints + 80, scores, box_score=rng.uniform(0.3, 1), sample_id=100 + k))
        return samples

    def test_body_agrees_with_the_stock_metric(self, coco):
        folder, content = coco
        body = {a: b for a, b in common_keypoints('by_name').items() if b < 17}
        ours = evaluate(CommonKeypointsMetric(ann_file=str(folder / 'test_coco_wholebody.json'), pairs=list(body.items())),
                        self.noisy(content, 17, body), META[133])
        stock = evaluate(CocoMetric(ann_file=str(folder / 'test_coco.json')), self.noisy(content, 17), META[17])
        assert 0.05 < stock['coco/AP'] < 0.95
        for name, value in stock.items():
            assert ours[name.replace('coco/', 'common_keypoints/')] == pytest.approx(value), name

    def test_truth_over_common_points(self, coco):
        folder, content = coco
        for tier in ('by_name', 'certain', 'inferred'):
            ids = common_keypoints(tier)
            metric = CommonKeypointsMetric(ann_file=str(folder / 'test_coco_wholebody.json'), tier=tier)
            result = evaluate(metric, self.noisy(content, 133, ids, scale=1e-6), META[133])
            assert result['common_keypoints/AR'] == pytest.approx(1.0), tier
            assert result['common_keypoints/body_AR'] == pytest.approx(1.0)
            assert ('common_keypoints/face_AP' in result) == (tier == 'inferred')

    def test_stock_metrics_run_here(self, coco):
        folder, content = coco
        result = evaluate(CocoWholeBodyMetric(ann_file=str(folder / 'test_coco_wholebody.json')),
                          [sample(a, p[:, :2]) for a, p in people_of(content, 133) if not a['iscrowd']], META[133])
        assert result['coco-wholebody/AR'] == pytest.approx(1.0)


def test_two_ranks_give_one_result(tmp_path, monkeypatch):
    """Results of several processes come together, duplicates of the padded last batch once."""
    path, content = write_set(tmp_path, 308, num_images=5, people=2, pictures=False)
    rng = np.random.default_rng(2)
    samples = [sample(a, p[:, :2] + rng.normal(0, 2, (308, 2))) for a, p in people_of(content, 308)]
    alone = evaluate(Keypoints308Metric(ann_file=path), samples, META[308])
    ranks = []
    for part in (samples[0::2], samples[1::2] + samples[:1]):
        evaluator = Evaluator(Keypoints308Metric(ann_file=path))
        evaluator.dataset_meta = META[308]
        evaluator.process(part)
        ranks.append(evaluator.metrics[0])
    ranks[0].results += ranks[1].results
    together = ranks[0].evaluate(len(samples) + 1)
    assert together == pytest.approx(alone)


def test_crowd_is_ignored(tmp_path):
    path, content = write_set(tmp_path, 308, num_images=2, people=1, pictures=False)
    crowd = dict(person(np.random.default_rng(0), 99, 1, 308, (150., 10., 40., 40.)), iscrowd=1)
    content['annotations'].append(crowd)
    people = people_of(content, 308)[:2]
    result = evaluate(Keypoints308Metric(ann_file=save(tmp_path / 'crowd.json', content)),
                      [sample(a, p[:, :2]) for a, p in people], META[308])
    assert result['keypoints308/AP'] == pytest.approx(1.0)
