import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from sapiens_mm.dense.visualizer import (
    _MEANING,
    NEUTRAL,
    DenseVisualizer,
    draw_depth,
    draw_legend,
    draw_normals,
    draw_panels,
    draw_parts,
)

PALETTE = [(0, 0, 0), (250, 0, 0), (0, 250, 0)]


def sample(**fields):
    out = SegDataSample()
    out.set_data({name: PixelData(data=torch.as_tensor(data)) for name, data in fields.items()})
    return out


@pytest.fixture
def image():
    return np.full((40, 30, 3), 100, np.uint8)


@pytest.mark.parametrize(('channel_order', 'red'), [('rgb', (250, 0, 0)), ('bgr', (0, 0, 250))])
def test_parts(image, channel_order, red):
    labels = torch.zeros(1, 40, 30, dtype=torch.uint8)
    labels[0, 10:20], labels[0, 20:30] = 1, 255
    out = draw_parts(image, labels, PALETTE, opacity=0.5, channel_order=channel_order)
    assert (out[:10] == 100).all()  # the background is the picture
    assert out[15, 15].tolist() == [50 + v // 2 for v in red]
    assert (out[25] > 150).all()  # ignored pixels are paler
    assert (draw_parts(image, labels, PALETTE, 1., channel_order)[15, 15] == red).all()
    assert (image == 100).all()


def test_near_is_bright_and_background_is_grey():
    depth = torch.linspace(1, 5, 40)[:, None].expand(40, 30).clone()
    mask = torch.ones(40, 30)
    mask[:, :10] = 0
    depth[:, :10], depth[0, 20] = 1e10, torch.nan
    out = draw_depth(depth, mask)
    assert (out[:, :10] == NEUTRAL).all()
    assert (out[0, 20] == NEUTRAL).all()
    brightness = out[:, 15].astype(int).sum(1)
    assert (np.diff(brightness) <= 0).all()
    assert brightness[0] > 4 * max(brightness[-1], 1)
    assert (draw_depth(depth, mask, channel_order='rgb') == out[..., ::-1]).all()


@pytest.mark.parametrize('depth', [torch.full((5, 6), torch.nan), torch.full((5, 6), 3.), torch.zeros(5, 6)])
def test_depth_without_range(depth):
    out = draw_depth(depth, torch.ones(5, 6))
    assert out.shape == (5, 6, 3)
    assert (draw_depth(depth, torch.zeros(5, 6)) == NEUTRAL).all()


def test_depth_limits_make_pictures_comparable():
    depth = torch.rand(5, 6)
    assert (draw_depth(depth, limits=(0, 1)) != draw_depth(depth + 1, limits=(0, 1))).any()
    assert (draw_depth(depth) == draw_depth(4 * depth)).all()


@pytest.mark.parametrize(('normal', 'rgb'), [((0, 0, 1), (128, 128, 255)), ((1, 0, 0), (255, 128, 128)),
                                             ((0, -3, 0), (128, 0, 128)),
                                             ((0, 0, 0), (128, 128, 128)), ((np.nan, 0, 0), (128, 128, 128)),
                                             ((-1000, -1000, -1000), (54, 54, 54))])
def test_normals(normal, rgb):
    normals = np.broadcast_to(np.array(normal, np.float32)[:, None, None], (3, 4, 5))
    assert draw_normals(normals, channel_order='rgb')[2, 3].tolist() == list(rgb)
    assert draw_normals(normals)[2, 3].tolist() == list(rgb)[::-1]
    assert (draw_normals(normals, np.zeros((4, 5))) == NEUTRAL).all()


def test_legend_grows_columns():
    entries = [(f'class {i}', (i, i, i)) for i in range(10)]
    wide, narrow = draw_legend(entries, 64), draw_legend(entries, 640)
    assert wide.shape[0] == 64
    assert wide.shape[1] == pytest.approx(3 * narrow.shape[1], rel=0.1)
    assert draw_legend((), 64).shape == (64, 0, 3)


@pytest.mark.parametrize(('shape', 'side'), [((4000, 3000), 1000), ((400, 300), 400), ((64, 48), 320)])
def test_panels_have_the_first_ones_size(shape, side):
    picture = np.zeros((*shape, 3), np.uint8)
    out = draw_panels([('a', picture), ('b', np.zeros((10, 20, 3), np.uint8))], max_side=1000)
    band = round(20 * max(1, side / 512))  # letters grow with the picture
    assert out.shape == (side + band, 2 * round(side * 3 / 4) + 4, 3)


def test_everything_in_one_picture(image):
    fields = {}
    for side in ('gt', 'pred'):
        fields.update({f'{side}_sem_seg': torch.ones(1, 40, 30, dtype=torch.long), f'{side}_depth_map': torch.rand(1, 40, 30),
                       f'{side}_normal_map': torch.randn(3, 40, 30)})
    visualizer = DenseVisualizer(classes=('Background', 'Hair', 'Torso'), palette=PALETTE)
    def width(**kwargs):
        return visualizer.draw(image, sample(**fields), with_labels=False, **kwargs).shape[1]
    assert width() == 7 * 240 + 6 * 4  # 40 x 30 is shown eight times as large
    assert width(draw_gt=False) == width(draw_pred=False) == 4 * 240 + 3 * 4
    assert visualizer.draw(image, sample(**fields)).shape[1] > width()


def test_the_ground_truth_bounds_both(image):
    truth = torch.rand(1, 40, 30) + 1
    truth[:, :20] = -1
    visualizer = DenseVisualizer()
    out = visualizer.draw(image, sample(gt_depth_map=truth, pred_depth_map=torch.rand(1, 40, 30)))
    for i in (1, 2):
        panel = out[20:, i * 244:i * 244 + 240]
        assert (panel[:158] == NEUTRAL).all()
        assert (panel[162:] != NEUTRAL).any()
    alone = visualizer.draw(image, sample(pred_depth_map=torch.rand(1, 40, 30)))
    assert (alone[20:178, 244:] != NEUTRAL).any()


def test_maps_of_another_size(image):
    fields = dict(gt_sem_seg=torch.ones(1, 80, 66), gt_depth_map=torch.rand(1, 80, 66), pred_depth_map=torch.rand(1, 40, 30),
                  gt_mask=torch.ones(1, 80, 66))
    assert DenseVisualizer().draw(image, sample(**fields)).shape[0] == 340


def test_classes_without_colours(image):
    labels = torch.arange(1200).reshape(1, 40, 30) % 200
    assert DenseVisualizer().draw(image, sample(pred_sem_seg=labels)).shape[0] == 340


def test_files_and_backends(image, tmp_path):
    visualizer = DenseVisualizer(vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path))
    visualizer.add_datasample('train_0', image, sample(pred_depth_map=torch.rand(1, 40, 30)), step=7)
    drawn = visualizer.get_image()
    assert (cv2.imread(str(tmp_path / 'vis_data/vis_image/train_0_7.png'))[..., ::-1] == drawn).all()
    visualizer.add_datasample('x', image, sample(pred_depth_map=torch.rand(1, 40, 30)), out_file=str(tmp_path / 'deep/x.png'))
    assert cv2.imread(str(tmp_path / 'deep/x.png')).shape == drawn.shape
    assert len(list((tmp_path / 'vis_data/vis_image').iterdir())) == 1


def test_mistakes(image):
    with pytest.raises(ValueError, match='the picture is 40 x 30 and its labels 4 x 4'):
        draw_parts(image, np.zeros((4, 4)), PALETTE)
    with pytest.raises(ValueError, match='the mask is 3 x 3 and the map 4 x 4'):
        draw_depth(np.zeros((4, 4)), np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r'must be \(3, H, W\)'):
        draw_normals(np.zeros((4, 4, 4)))
    with pytest.raises(ValueError, match='must have 2 axes'):
        draw_depth(np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match="'bgr' or 'rgb'"):
        draw_depth(np.zeros((4, 4)), channel_order='hsv')


def test_legends_say_what_the_colours_mean():
    depth = draw_depth(np.array([[1., 2., 3.]]), limits=(1, 3), channel_order='rgb')[0]
    assert np.abs(depth.astype(int) - [color for _, color in _MEANING['depth']]).max() <= 2
    normals = draw_normals(np.eye(3, dtype=np.float32)[:, None], channel_order='rgb')[0]
    assert np.abs(normals.astype(int) - [color for _, color in _MEANING['normal']]).max() <= 1
