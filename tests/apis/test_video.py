"""Videos: a run that is killed and resumed gives the files of one that is not; tracks and smoothing leave the raw output alone."""
import json
import multiprocessing
import os
import signal
import time

import cv2
import numpy as np
import pytest
import torch

from sapiens_mm.apis import DepthInferencer, PartsInferencer, PoseInferencer, video
from sapiens_mm.apis.tracking import OneEuroFilter, Tracker, box_iou
from tests.apis.support import picture, write_dense, write_pose

FRAMES = 21


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp('clip') / 'clip.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10, (64, 96))
    frames = [picture(96, 64, seed=i // 4) for i in range(FRAMES)]
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture(scope='module')
def pose(tmp_path_factory):
    return PoseInferencer(*map(str, write_pose(tmp_path_factory.mktemp('m'), 17)), device='cpu', flip_test=False)


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    monkeypatch.setattr(video, 'SEGMENT', 8)


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


class Killed(BaseException):
    """Stands for the end of the process."""


def interrupted(inferencer, calls, run):
    forward, left = inferencer.forward, [calls]

    def count(batch):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return forward(batch)

    inferencer.forward = count
    try:
        with pytest.raises(Killed):
            run()
    finally:
        del inferencer.forward


def test_frames_are_those_of_pictures(pose, clip, tmp_path):
    result = pose(str(clip), out_dir=tmp_path, batch_size=3)
    content = json.loads((tmp_path / 'clip' / 'keypoints.json').read_text())
    assert result['num'] == len(content['frames']) == FRAMES
    assert (content['width'], content['height'], content['fps'], len(content['keypoint_names'])) == (64, 96, 10, 17)
    capture = cv2.VideoCapture(str(clip))
    for frame in content['frames'][:3]:
        expected = pose(capture.read()[1])['predictions'][0]['instances'][0]
        np.testing.assert_allclose(frame['instances'][0]['keypoint_scores'], expected['keypoint_scores'], atol=1e-4)
    drawn = cv2.VideoCapture(str(tmp_path / 'clip' / 'vis.mp4'))
    assert int(drawn.get(cv2.CAP_PROP_FRAME_COUNT)) == FRAMES and drawn.get(cv2.CAP_PROP_FPS) == 10
    assert {p.name for p in (tmp_path / 'clip').iterdir()} == {'keypoints.json', 'vis.mp4', 'run.json', 'done.json'}


@pytest.mark.parametrize('calls', [0, 2, 4, 6])
def test_killed_and_resumed(pose, clip, tmp_path, calls):
    kwargs = dict(batch_size=3, track=True, smooth=True)
    pose(str(clip), out_dir=tmp_path / 'a', **kwargs)
    interrupted(pose, calls, lambda: pose(str(clip), out_dir=tmp_path / 'b', **kwargs))
    assert not (tmp_path / 'b' / 'clip' / 'keypoints.json').exists() and not (tmp_path / 'b' / 'clip' / 'vis.mp4').exists()
    result = pose(str(clip), out_dir=tmp_path / 'b', **kwargs)
    assert result['num'] == FRAMES - 8 * (calls // 3)
    assert files(tmp_path / 'a') == files(tmp_path / 'b')
    assert pose(str(clip), out_dir=tmp_path / 'b', **kwargs)['num'] == 0


@pytest.fixture
def one_thread():
    """For a forked process, which has none of its parent's threads, and for its parent to compute the same."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    yield
    torch.set_num_threads(before)
    cv2.setNumThreads(-1)


def test_a_killed_process(pose, clip, tmp_path, one_thread):
    """The same with a real process and SIGKILL, which leaves no time to tidy up."""

    def slow():
        forward = pose.forward
        pose.forward = lambda batch: time.sleep(0.2) or forward(batch)
        pose(str(clip), out_dir=tmp_path / 'b', batch_size=2)

    pose(str(clip), out_dir=tmp_path / 'a', batch_size=2)
    process = multiprocessing.get_context('fork').Process(target=slow)
    process.start()
    journal = tmp_path / 'b' / 'clip' / '.journal'
    while not list(journal.glob('0*.npz')) and process.is_alive():
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL and journal.is_dir()
    assert pose(str(clip), out_dir=tmp_path / 'b', batch_size=2)['num'] < FRAMES
    assert files(tmp_path / 'a') == files(tmp_path / 'b')


@pytest.mark.parametrize('build, task, suffix', [(PartsInferencer, 'parts', 'png'), (DepthInferencer, 'depth', 'npy')])
def test_maps(clip, tmp_path, build, task, suffix):
    inferencer = build(*map(str, write_dense(tmp_path, task)), device='cpu')
    inferencer(str(clip), out_dir=tmp_path / 'a', batch_size=3)
    interrupted(inferencer, 4, lambda: inferencer(str(clip), out_dir=tmp_path / 'b', batch_size=3))
    inferencer(str(clip), out_dir=tmp_path / 'b', batch_size=3)
    assert files(tmp_path / 'a') == files(tmp_path / 'b')
    assert len(list((tmp_path / 'a' / 'clip' / 'frames').glob(f'*.{suffix}'))) == FRAMES


def test_other_settings_do_not_mix(pose, clip, tmp_path):
    pose(str(clip), out_dir=tmp_path, save_vis=False)
    with pytest.raises(ValueError, match='smooth'):
        pose(str(clip), out_dir=tmp_path, save_vis=False, smooth=True)
    assert pose(str(clip), out_dir=tmp_path, save_vis=False, smooth=True, overwrite=True)['num'] == FRAMES


def test_smoothing_leaves_the_raw_output_alone(pose, clip, tmp_path):
    pose(str(clip), out_dir=tmp_path / 'raw', save_vis=False)
    pose(str(clip), out_dir=tmp_path / 'smooth', save_vis=False, smooth=True)
    raw, smooth = (json.loads((tmp_path / d / 'clip' / 'keypoints.json').read_text())['frames'] for d in ('raw', 'smooth'))
    for a, b in zip(raw, smooth):
        extra = [{k: p.pop(k) for k in ('track_id', 'keypoints_smoothed')} for p in b['instances']]
        assert a == b and [e['track_id'] for e in extra] == [1]
    assert extra[0]['keypoints_smoothed'] != a['instances'][0]['keypoints']


def test_boxes_of_frames(pose, clip, tmp_path):
    boxes = {str(i): [[5, 5, 40, 60]] * (i % 3) for i in range(10)}
    pose(str(clip), out_dir=tmp_path, save_vis=False, bboxes=boxes)
    frames = json.loads((tmp_path / 'clip' / 'keypoints.json').read_text())['frames']
    assert [len(f['instances']) for f in frames] == [i % 3 if i < 10 else 0 for i in range(FRAMES)]


def test_a_damaged_video(pose, tmp_path):
    (tmp_path / 'x.mp4').write_bytes(b'no video')
    with pytest.raises(ValueError, match='cannot be opened as a video'):
        pose(str(tmp_path / 'x.mp4'), out_dir=tmp_path / 'out')


class TestTracker:

    @staticmethod
    def person(x, y, noise=0.):
        rng = np.random.default_rng(int(1000 * (x + y)))
        points = np.array([[x + 10, y + 10], [x + 30, y + 50]]) + noise * rng.standard_normal((2, 2))
        return dict(bbox=[x, y, x + 40, y + 60], keypoints=points.tolist(), keypoint_scores=[1, 1])

    def test_crossing_order_and_gaps(self):
        tracker = Tracker(10)
        assert [t['track_id'] for t in tracker([self.person(0, 0), self.person(100, 0)])] == [1, 2]
        assert [t['track_id'] for t in tracker([self.person(98, 2), self.person(3, 0)])] == [2, 1]
        assert tracker([]) == []
        assert [t['track_id'] for t in tracker([self.person(5, 1), self.person(300, 0), self.person(101, 0)])] == [1, 3, 2]
        for _ in range(12):
            tracker([])
        assert [t['track_id'] for t in tracker([self.person(5, 1)])] == [4]

    def test_iou(self):
        boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], float)
        np.testing.assert_allclose(box_iou(boxes[:1], boxes), [[1, 1 / 3, 0]])

    def test_one_euro(self):
        rng = np.random.default_rng(0)
        still = OneEuroFilter(30)
        noisy = 50 + rng.standard_normal((200, 1, 2))
        smooth = np.stack([still(v, 100.) for v in noisy])
        assert smooth[50:].std() < 0.5 * noisy[50:].std()
        moving = OneEuroFilter(30)
        path = np.cumsum(np.full((60, 1, 2), 8.), 0)
        lag = path - np.stack([moving(v, 100.) for v in path])
        assert np.abs(lag[-1]).max() < 8 * 2
        np.testing.assert_array_equal(OneEuroFilter(30)(noisy[0], 100.), noisy[0])
