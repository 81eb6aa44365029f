import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.structures import PoseDataSample

from sapiens_mm.pose.skeletons import get_skeleton
from sapiens_mm.pose.visualizer import PoseVisualizer, draw_comparison, draw_keypoints

GREY = np.full((200, 160, 3), 100, np.uint8)


def scattered(number, people=1):
    rng = np.random.default_rng(0)
    return rng.uniform((10, 10), (150, 190), (people, number, 2))


@pytest.mark.parametrize('number', [17, 133, 308])
def test_draws_every_skeleton(number):
    before = GREY.copy()
    out = draw_keypoints(before, scattered(number, 2), np.ones((2, number)), number)
    assert out.shape == GREY.shape and out.dtype == np.uint8 and (out != GREY).any()
    assert (before == GREY).all()


def test_points_are_where_they_are_said_to_be():
    skeleton = get_skeleton(308)
    keypoints, scores = np.zeros((1, 308, 2)), np.zeros((1, 308))
    left_knee = skeleton.index('left_knee')
    keypoints[0, left_knee], scores[0, left_knee] = (40.25, 120.75), 1
    out = draw_keypoints(GREY, keypoints, scores, skeleton, radius=4)
    ys, xs = (out != GREY).any(-1).nonzero()
    assert abs(xs.mean() - 40.25) < .3 and abs(ys.mean() - 120.75) < .3
    assert tuple(out[121, 40]) == tuple(skeleton.colors[left_knee][::-1])
    assert tuple(draw_keypoints(GREY, keypoints, scores, 308, radius=4, channel_order='rgb')[121, 40]) == skeleton.colors[left_knee]


def test_low_scores_and_bad_numbers_are_not_drawn():
    keypoints, scores = scattered(308), np.full((1, 308), 0.2)
    assert (draw_keypoints(GREY, keypoints, scores) == GREY).all()
    for value in (np.nan, np.inf, -1e30):
        keypoints[:] = value
        assert (draw_keypoints(GREY, keypoints) == GREY).all()
    assert (draw_keypoints(GREY, np.zeros((0, 308, 2)), np.zeros((0, 308))) == GREY).all()


def test_size_follows_the_person():
    def share(scale):
        picture = np.full((1000, 800, 3), 100, np.uint8)
        return (draw_keypoints(picture, scattered(308) * scale, channel_order='rgb') != picture).any(-1).sum() / scale**2

    assert share(5) == pytest.approx(share(2.5), rel=0.3)


def test_comparison_puts_truth_left():
    truth, nothing = (scattered(17), np.ones((1, 17))), (scattered(17), np.zeros((1, 17)))
    out = draw_comparison(GREY, truth, nothing, 17)
    assert out.shape[0] == 200 and out.shape[1] > 320
    assert (out[:, :160] != GREY).any() and (out[:, -160:] == GREY).all()


def test_boxes():
    out = draw_keypoints(GREY, np.zeros((0, 17, 2)), None, 17, bboxes=[[20, 30, 100, 150]])
    ys, xs = (out != GREY).any(-1).nonzero()
    assert abs(xs.min() - 20) <= 1 and abs(xs.max() - 100) <= 1 and abs(ys.min() - 30) <= 1 and abs(ys.max() - 150) <= 1


def test_mistakes():
    with pytest.raises(ValueError, match='308 keypoints'):
        draw_keypoints(GREY, scattered(17), skeleton=308)
    with pytest.raises(ValueError, match='bgr'):
        draw_keypoints(GREY, scattered(17), skeleton=17, channel_order='gbr')


@pytest.mark.parametrize('number', [17, 133, 308])
def test_as_mmpose_visualizer(tmp_path, number):
    init_default_scope('mmpose')
    from mmpose.registry import VISUALIZERS
    visualizer = VISUALIZERS.build(dict(type='sapiens_mm.PoseVisualizer', name=f'v{number}'))
    assert isinstance(visualizer, PoseVisualizer)
    visualizer.set_dataset_meta(parse_pose_metainfo(get_skeleton(number).dataset_info()))
    keypoints = scattered(number)
    people = InstanceData(keypoints=keypoints, keypoints_visible=np.ones((1, number)), bboxes=np.array([[5., 5., 155., 195.]]))
    sample = PoseDataSample(gt_instances=people, pred_instances=people.clone())
    picture = np.zeros((200, 160, 3), np.uint8)
    picture[..., 0] = 90  # red, if RGB is kept
    out = visualizer.add_datasample('x', picture, sample, draw_bbox=True, out_file=str(tmp_path / 'a.png'))
    assert out.shape == (200, 320, 3) and (out[:, :160] == out[:, 160:]).all()
    assert (out[:, :160] == draw_keypoints(picture, keypoints, None, number, bboxes=None, channel_order='rgb')).mean() > 0.9
    written = cv2.imread(str(tmp_path / 'a.png'))
    assert (written[..., ::-1] == out).all() and tuple(written[0, 0]) == (0, 0, 90)


def test_unknown_sets_are_drawn_as_in_mmpose():
    visualizer = PoseVisualizer(name='other', radius=3)
    visualizer.set_dataset_meta(dict(dataset_name='dots', skeleton_links=[[0, 1]]))
    people = InstanceData(keypoints=np.array([[[20., 30.], [60., 90.]]]))
    out = visualizer.add_datasample('x', GREY.copy(), PoseDataSample(gt_instances=people), draw_pred=False)
    assert (out[30, 20] != GREY[30, 20]).any()
