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

from sapiens_mm.apis import DepthInferencer, FeatureInferencer, NormalInferencer, PartsInferencer, PoseInferencer, video
from sapiens_mm.apis.inputs import Item, Source
from sapiens_mm.apis.tracking import OneEuroFilter, Tracker, draw_numbers
from tests.apis.support import picture, write_dense, write_pose

FRAMES = 21


def write_clip(path, frames, fps=10, codec='mp4v'):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, frames[0].shape[1::-1])
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp('clip') / 'clip.mp4', [picture(96, 64, seed=i // 4) for i in range(FRAMES)])


@pytest.fixture(scope='module')
def pose(tmp_path_factory):
    return PoseInferencer(*map(str, write_pose(tmp_path_factory.mktemp('m'), 17)), device='cpu', flip_test=False)


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    monkeypatch.setattr(video, 'SEGMENT', 8)


@pytest.fixture
def with_tracker():
    pytest.importorskip('lap')


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


class Killed(BaseException):
    """Stands for the end of the process."""


def interrupted(inferencer, calls, run, error=Killed):
    """Run until the network is called once more than ``calls`` times."""
    forward, left = inferencer.forward, [calls]

    def count(batch):
        left[0] -= 1
        if left[0] < 0:
            raise error
        return forward(batch)

    inferencer.forward = count
    try:
        return run()
    finally:
        del inferencer.forward


def read_frames(folder):
    return json.loads((folder / 'keypoints.json').read_text())['frames']


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
def test_killed_and_resumed(pose, clip, tmp_path, calls, with_tracker):
    kwargs = dict(batch_size=3, track=True, smooth=True)
    pose(str(clip), out_dir=tmp_path / 'a', **kwargs)
    with pytest.raises(Killed):
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


def test_a_killed_process(pose, clip, tmp_path, one_thread, with_tracker):
    """The same with a real process and SIGKILL, which leaves no time to tidy up."""
    kwargs = dict(batch_size=2, track=True, smooth=True)

    def slow():
        forward = pose.forward
        pose.forward = lambda batch: time.sleep(0.2) or forward(batch)
        pose(str(clip), out_dir=tmp_path / 'b', **kwargs)

    pose(str(clip), out_dir=tmp_path / 'a', **kwargs)
    process = multiprocessing.get_context('fork').Process(target=slow)
    process.start()
    journal = tmp_path / 'b' / 'clip' / '.journal'
    while not list(journal.glob('0*.npz')) and process.is_alive():
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL and journal.is_dir()
    assert pose(str(clip), out_dir=tmp_path / 'b', **kwargs)['num'] < FRAMES
    assert files(tmp_path / 'a') == files(tmp_path / 'b')


@pytest.mark.parametrize('build, task, fmt', [(PartsInferencer, 'parts', 'png'), (DepthInferencer, 'depth', 'npy'),
                                              (DepthInferencer, 'depth', 'png16'), (NormalInferencer, 'normal', 'npz'),
                                              (FeatureInferencer, 'depth', 'pooled')])
def test_maps(clip, tmp_path, build, task, fmt):
    """Finished frames are drawn again from their own files, or from pictures of theirs where those hold less."""
    inferencer = build(*map(str, write_dense(tmp_path, task)), device='cpu')
    kwargs = dict(batch_size=3, **({} if task == 'parts' else dict(fmt=fmt)))
    inferencer(str(clip), out_dir=tmp_path / 'a', **kwargs)
    with pytest.raises(Killed):
        interrupted(inferencer, 4, lambda: inferencer(str(clip), out_dir=tmp_path / 'b', **kwargs))
    assert len(list((tmp_path / 'b' / 'clip').glob('.journal/*'))) == (11 if fmt in ('png16', 'pooled') else 0)
    assert inferencer(str(clip), out_dir=tmp_path / 'b', **kwargs)['num'] == FRAMES - 8
    assert files(tmp_path / 'a') == files(tmp_path / 'b')
    suffix = {'png16': 'png', 'pooled': 'npy'}.get(fmt, fmt)
    assert len(list((tmp_path / 'a' / 'clip' / 'frames').glob(f'*.{suffix}'))) == FRAMES


def test_a_lost_frame_is_made_again(clip, tmp_path):
    inferencer = DepthInferencer(*map(str, write_dense(tmp_path, 'depth')), device='cpu')
    kwargs = dict(batch_size=3, save_vis=False)
    inferencer(str(clip), out_dir=tmp_path / 'a', **kwargs)
    with pytest.raises(Killed):
        interrupted(inferencer, 6, lambda: inferencer(str(clip), out_dir=tmp_path / 'b', **kwargs))
    (tmp_path / 'b' / 'clip' / 'frames' / '000010.npy').unlink()
    assert inferencer(str(clip), out_dir=tmp_path / 'b', **kwargs)['num'] == FRAMES - 8
    assert files(tmp_path / 'a') == files(tmp_path / 'b')


def test_other_settings_do_not_mix(pose, clip, tmp_path, with_tracker):
    pose(str(clip), out_dir=tmp_path)
    with pytest.raises(ValueError, match='smooth'):
        pose(str(clip), out_dir=tmp_path, smooth=True)
    assert pose(str(clip), out_dir=tmp_path, save_vis=False, smooth=True, overwrite=True)['num'] == FRAMES
    assert {p.name for p in (tmp_path / 'clip').iterdir()} == {'keypoints.json', 'run.json', 'done.json'}


def test_another_video_of_the_same_name(pose, clip, tmp_path):
    pose(str(clip), out_dir=tmp_path / 'out', save_vis=False)
    (tmp_path / clip.name).write_bytes(clip.read_bytes())
    assert pose(str(tmp_path / clip.name), out_dir=tmp_path / 'out', save_vis=False)['num'] == 0
    write_clip(tmp_path / clip.name, [picture(96, 64, seed=i) for i in range(FRAMES)])
    with pytest.raises(ValueError, match='video'):
        pose(str(tmp_path / clip.name), out_dir=tmp_path / 'out', save_vis=False)


def test_smoothing_leaves_the_raw_output_alone(pose, clip, tmp_path, with_tracker):
    pose(str(clip), out_dir=tmp_path / 'raw', save_vis=False)
    pose(str(clip), out_dir=tmp_path / 'smooth', save_vis=False, smooth=True)
    raw, smooth = (read_frames(tmp_path / d / 'clip') for d in ('raw', 'smooth'))
    for a, b in zip(raw, smooth):
        extra = [{k: p.pop(k) for k in ('track_id', 'keypoints_smoothed')} for p in b['instances']]
        assert a == b and [e['track_id'] for e in extra] == [1]
    assert extra[0]['keypoints_smoothed'] != a['instances'][0]['keypoints']


def test_smoothed_points_of_another_set(pose, clip, tmp_path, with_tracker):
    pose(str(clip), out_dir=tmp_path, save_vis=False, smooth=True, keypoints='openpose25')
    person = read_frames(tmp_path / 'clip')[0]['instances'][0]
    assert person['keypoints_smoothed'] == person['keypoints'] and len(person['keypoints']) == 25


def test_tracks_need_their_package(pose, clip, tmp_path, monkeypatch):
    monkeypatch.setattr('sapiens_mm.apis.tracking.find_spec', lambda name: None)
    with pytest.raises(ValueError, match='pip install lap'):
        pose(str(clip), out_dir=tmp_path, track=True)
    assert not list(tmp_path.iterdir())


def test_tracks_go_to_files(pose, clip):
    with pytest.raises(ValueError, match='give out_dir'):
        pose(str(clip), track=True)


def test_boxes_of_frames(pose, clip, tmp_path, with_tracker):
    boxes = {str(i): [[5, 5, 40, 60], [30, 20, 60, 90]][:i % 3] for i in range(10)}
    pose(str(clip), out_dir=tmp_path, bboxes=boxes, track=True)
    frames = read_frames(tmp_path / 'clip')
    assert [len(f['instances']) for f in frames] == [i % 3 if i < 10 else 0 for i in range(FRAMES)]
    assert {p['track_id'] for f in frames for p in f['instances']} >= {1, 2}


class TestBadVideos:

    def test_none(self, pose, tmp_path):
        (tmp_path / 'x.mp4').write_bytes(b'no video')
        with pytest.raises(ValueError, match='cannot be opened as a video'):
            pose(str(tmp_path / 'x.mp4'), out_dir=tmp_path / 'out')

    def test_cut_short(self, pose, tmp_path, monkeypatch):
        said = []
        monkeypatch.setattr(video, 'print_log', lambda text, *args, **kwargs: said.append(text))
        path = write_clip(tmp_path / 'x.avi', [picture(96, 64, seed=i) for i in range(FRAMES)], codec='MJPG')
        content = path.read_bytes()
        path.write_bytes(content[:len(content) * 2 // 3])
        result = pose(str(path), out_dir=tmp_path / 'out')
        frames = len(read_frames(tmp_path / 'out' / 'x'))
        assert 5 < frames == result['num'] < FRAMES
        assert int(cv2.VideoCapture(str(tmp_path / 'out' / 'x' / 'vis.mp4')).get(cv2.CAP_PROP_FRAME_COUNT)) == frames
        assert [t for t in said if f'has {FRAMES} frames, and {frames} could be read' in t]
        assert pose(str(path), out_dir=tmp_path / 'out')['num'] == 0

    def test_no_frame(self, pose, tmp_path):
        path = write_clip(tmp_path / 'x.avi', [picture(96, 64, seed=i) for i in range(3)], codec='MJPG')
        content = path.read_bytes()
        path.write_bytes(content[:content.index(b'movi') + 4])
        with pytest.raises(ValueError, match='no frame|cannot be opened'):
            pose(str(path), out_dir=tmp_path / 'out')
        assert not (tmp_path / 'out' / 'x' / 'done.json').exists()

    def test_odd_sides(self, pose, tmp_path):
        path = write_clip(tmp_path / 'x.avi', [picture(97, 65, seed=i) for i in range(3)], codec='MJPG')
        read = cv2.VideoCapture(str(path)).read()[1].shape
        pose(str(path), out_dir=tmp_path / 'out')
        drawn = cv2.VideoCapture(str(tmp_path / 'out' / 'x' / 'vis.mp4'))
        assert int(drawn.get(cv2.CAP_PROP_FRAME_COUNT)) == 3
        assert np.abs(np.subtract(drawn.read()[1].shape, read)).max() <= 1  # the codec has even sides

    def test_size_that_changes(self, pose, tmp_path):
        frames = [picture(96, 64), picture(80, 120), picture(96, 64)]
        items = [Item(f'{i:06d}', lambda f=f: f, None, i) for i, f in enumerate(frames)]
        (tmp_path / 'x.mp4').write_bytes(b'stands for it')
        pose(Source('video', items, 3, str(tmp_path / 'x.mp4'), 10.), out_dir=tmp_path / 'out')
        content = json.loads((tmp_path / 'out' / 'x' / 'keypoints.json').read_text())
        assert (content['width'], content['height']) == (64, 96)
        assert [(f.get('width'), f.get('height')) for f in content['frames']] == [(None, None), (120, 80), (None, None)]
        drawn = cv2.VideoCapture(str(tmp_path / 'out' / 'x' / 'vis.mp4'))
        assert int(drawn.get(cv2.CAP_PROP_FRAME_COUNT)) == 3 and drawn.read()[1].shape == (96, 64, 3)
        between = drawn.read()[1]
        assert between[:20].max() < 40 < between[40:60].max()  # as large as it goes, on black

    def test_a_disk_that_fills(self, pose, clip, tmp_path, monkeypatch):
        encoder = video._Encoder
        with monkeypatch.context() as patch:
            patch.setattr(encoder, 'close', lambda self, close=encoder.close: (close(self), self.path.write_bytes(b''))[0])
            with pytest.raises(OSError, match='disk full'):
                pose(str(clip), out_dir=tmp_path)
        assert not (tmp_path / 'clip' / 'vis.mp4').exists()
        pose(str(clip), out_dir=tmp_path)
        assert (tmp_path / 'clip' / 'vis.mp4').is_file()


class TestCamera:

    @staticmethod
    def source():
        """A camera that goes on for ever."""
        frames = (Item(f'{i:06d}', lambda i=i: picture(96, 64, seed=i % 7), None, i) for i in iter(range(10**9)))
        return Source('camera', frames, None, 'camera:0', 10.)

    def test_until_interrupted(self, pose, tmp_path):
        interrupted(pose, 4, lambda: pose(self.source(), out_dir=tmp_path, batch_size=3), KeyboardInterrupt)
        frames = read_frames(tmp_path / 'camera_0')
        assert 9 <= len(frames) <= 12
        assert int(cv2.VideoCapture(str(tmp_path / 'camera_0' / 'vis.mp4')).get(cv2.CAP_PROP_FRAME_COUNT)) == len(frames)
        before = files(tmp_path)
        with pytest.raises(ValueError, match='earlier recording'):
            pose(self.source(), out_dir=tmp_path)
        assert files(tmp_path) == before
        interrupted(pose, 2, lambda: pose(self.source(), out_dir=tmp_path, batch_size=3, overwrite=True), KeyboardInterrupt)
        assert len(read_frames(tmp_path / 'camera_0')) == 6

    def test_absent(self, pose, tmp_path):
        with pytest.raises(FileNotFoundError, match='no camera 77'):
            pose('camera:77', out_dir=tmp_path)


class TestTracker:

    @pytest.fixture(autouse=True)
    def package(self, with_tracker):
        """The tracker's."""

    @staticmethod
    def see(tracker, *people):
        """Boxes' corners, perhaps with a score, to their numbers."""
        boxes = np.array([[x, y, x + 40, y + 60] for x, y, *_ in people], np.float32).reshape(-1, 4)
        scores = np.array([p[2] if len(p) > 2 else 1. for p in people])
        return tracker(boxes, scores, np.zeros((len(people), 2, 2)))[0]

    def test_order_gaps_and_newcomers(self):
        tracker = Tracker(10)
        assert self.see(tracker, (0, 0), (100, 0)) == [1, 2]
        assert self.see(tracker, (98, 2), (3, 0)) == [2, 1]
        assert self.see(tracker) == []
        assert self.see(tracker, (5, 1), (300, 0), (101, 0)) == [1, 3, 2]
        for _ in range(12):
            self.see(tracker)
        assert self.see(tracker, (5, 1)) == [4]

    def test_crossing(self):
        """Two people walk past each other; one is hidden meanwhile."""
        tracker = Tracker(25)
        for frame in range(60):
            a, b = (4 * frame, 0), (240 - 4 * frame, 8)
            numbers = self.see(tracker, *([a] if 27 <= frame < 33 else [a, b]))
            assert numbers == [1, 2][:len(numbers)]

    def test_uncertain_boxes(self):
        """They go on with a track, but start none."""
        tracker = Tracker(10)
        assert self.see(tracker, (0, 0, 0.3)) == [None]
        for _ in range(3):
            assert self.see(tracker, (0, 0, 0.9)) == [1]
        assert self.see(tracker, (1, 0, 0.3), (100, 0, 0.3)) == [1, None]

    def test_any_people(self):
        """Nobody, many, twice the same box: each gets at most one number, and no number comes twice."""
        rng, tracker = np.random.default_rng(0), Tracker(5)
        for _ in range(100):
            people = [(*rng.uniform(0, 80, 2), rng.uniform()) for _ in range(rng.integers(0, 6))]
            people += people[:rng.integers(0, 2)]
            numbers = self.see(tracker, *people)
            given = [n for n in numbers if n is not None]
            assert len(numbers) == len(people) and len(set(given)) == len(given)
        for _ in range(9):
            self.see(tracker, (300, 0))
        assert max(len(v) for t in tracker.tracker.tracks.values() for v in t.values() if isinstance(v, list)) <= 3

    def test_smoothing_over_a_gap(self):
        tracker = Tracker(10, smooth=True)
        box, still = np.array([[0, 0, 40, 60.]]), np.full((1, 2, 2), 20.)
        tracker(box, np.ones(1), still)
        for _ in range(3):
            tracker(box[:0], np.ones(0), still[:0])
        np.testing.assert_array_equal(tracker(box, np.ones(1), still)[1], still)
        moved = tracker(box, np.ones(1), still + 4)[1]
        assert (still < moved).all() and (moved < still + 4).all()

    def test_numbers_are_drawn(self):
        image = np.full((90, 120, 3), 128, np.uint8)
        drawn = draw_numbers(image.copy(), np.array([[-5, -5, 30, 30], [50, 40, 90, 80], [110, 85, 130, 95.]]), [1, None, 12])
        assert (drawn != image).any() and (drawn[35:75, 45:80] == 128).all()

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
