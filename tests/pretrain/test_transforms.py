"""Decode and crop in one step: the crops of mmpretrain, from fewer pixels."""
import io

import cv2
import mmcv
import numpy as np
import pytest
from mmpretrain.datasets.transforms import RandomResizedCrop
from PIL import Image

from sapiens_mm.pretrain.transforms import LoadRandomResizedCrop
from tests.pretrain.support import picture


def textured(size, orientation=None, kind='JPEG', mode='RGB', **kwargs):
    """A smooth picture of (W, H) that is nowhere the same, as a file."""
    y, x = np.mgrid[:size[1], :size[0]]
    array = np.stack([127 + 80 * np.sin(x / 90 + y / 300), 127 + 80 * np.sin(y / 70), 255 * x / size[0]], -1).astype(np.uint8)
    image = Image.fromarray(array).convert(mode)
    exif = image.getexif()
    if orientation:
        exif[0x112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, kind, exif=exif, **({'quality': 95} if kind == 'JPEG' else {}), **kwargs)
    return buffer.getvalue()


def photograph(size, seed=0, quality=92):
    """A picture of (W, H) with detail at every scale, as photographs have it, as a file."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((size[1], size[0], 3), np.float32)
    for scale in (2, 4, 8, 16, 32, 64, 128, 256):
        coarse = rng.normal(size=(size[1] // scale + 2, size[0] // scale + 2, 3)).astype(np.float32)
        picture += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC) * scale**0.5
    picture = 128 + 45 * picture / picture.std()
    buffer = io.BytesIO()
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(buffer, 'JPEG', quality=quality)
    return buffer.getvalue()


def both(content, seed, scale, **kwargs):
    """Our crop and stock's from one random state."""
    np.random.seed(seed)
    ours = LoadRandomResizedCrop(scale, **kwargs)(dict(img_path='x.jpg', img_bytes=content))
    np.random.seed(seed)
    stock = RandomResizedCrop(scale, backend='pillow', interpolation='bicubic', **kwargs)(dict(img=mmcv.imfrombytes(content)))
    return ours, stock


@pytest.mark.parametrize('orientation', [None, *range(1, 9)])
def test_crops_are_those_of_mmpretrain_however_a_picture_is_turned(orientation):
    content = textured((700, 500), orientation)
    for seed in range(3):
        ours, stock = both(content, seed, (96, 128), crop_ratio_range=(0.2, 1.0))
        assert ours['img'].shape == stock['img'].shape == (96, 128, 3)
        assert np.abs(ours['img'].astype(int) - stock['img']).mean() < 1
        assert ours['ori_shape'] == ((700, 500) if orientation in (5, 6, 7, 8) else (500, 700))


@pytest.mark.parametrize('size, scale, reduction', [
    ((700, 500), 500, 1), ((700, 500), 251, 1), ((700, 500), 250, 2), ((701, 503), 125, 4), ((703, 505), 50, 8)])
def test_a_jpeg_is_decoded_no_larger_than_the_crop_needs(size, scale, reduction, monkeypatch):
    decoded = []
    resize = Image.Image.resize
    monkeypatch.setattr(Image.Image, 'resize', lambda self, *args, **kw: decoded.append(self.size) or resize(self, *args, **kw))
    whole = dict(crop_ratio_range=(1.0, 1.0), aspect_ratio_range=(size[0] / size[1], size[0] / size[1]))
    content = textured(size)
    ours = LoadRandomResizedCrop(scale, **whole)(dict(img_path='x.jpg', img_bytes=content))
    assert decoded == [(-(-size[0] // reduction), -(-size[1] // reduction))]
    stock = RandomResizedCrop(scale, backend='pillow', interpolation='bicubic', **whole)(dict(img=mmcv.imfrombytes(content)))
    assert np.abs(ours['img'].astype(int) - stock['img']).mean() < 1


def far_apart(a, b):
    """Root mean square difference of two pictures, in levels."""
    return np.sqrt(((a['img'].astype(float) - b['img'])**2).mean())


def check_pixels(content, scale):
    """Decoding at a reduced size changes less than half of what lies between mmpretrain's own two ways to resample."""
    for seed in range(4):
        ours, stock = both(content, seed, scale, crop_ratio_range=(0.2, 1.0))
        np.random.seed(seed)
        other = RandomResizedCrop(scale, backend='cv2', interpolation='bicubic', crop_ratio_range=(0.2, 1.0))(
            dict(img=mmcv.imfrombytes(content)))
        assert far_apart(ours, stock) < 0.5 * far_apart(other, stock)
        assert abs(ours['img'].astype(float).mean() - stock['img'].mean()) < 0.3


def test_pixels_are_close_to_those_of_full_decoding():
    check_pixels(photograph((2000, 1500)), 256)


def test_pixels_of_photographs_are_close_to_those_of_full_decoding(shared_dir):
    for file in sorted((shared_dir / 'data/coco').rglob('*.jpg'))[:4]:
        check_pixels(file.read_bytes(), 128)


@pytest.mark.parametrize('size', [(900, 60), (60, 900), (5, 7)])
def test_where_no_crop_fits_it_is_mmpretrains_central_one(size):
    """Pictures that are too narrow for the range of aspects, in which all attempts fail."""
    for seed in range(3):
        ours, stock = both(textured(size), seed, 48, crop_ratio_range=(0.6, 1.0))
        assert np.abs(ours['img'].astype(int) - stock['img']).mean() < 1


@pytest.mark.parametrize('options', [dict(kind='JPEG', mode='L'), dict(kind='JPEG', mode='CMYK'), dict(kind='PNG', mode='L'),
                                     dict(kind='PNG', mode='RGB'), dict(kind='JPEG', progressive=True)], ids=str)
def test_every_kind_of_file_gives_mmpretrains_pixels(options):
    ours, stock = both(textured((700, 500), **options), 1, 128, crop_ratio_range=(0.2, 1.0))
    assert np.abs(ours['img'].astype(int) - stock['img']).mean() < 2


def test_sixteen_bits_are_scaled_to_eight():
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    ours, stock = both(cv2.imencode('.png', ramp)[1].tobytes(), 0, 32)
    assert np.abs(ours['img'].astype(int) - stock['img']).mean() < 1.5


@pytest.mark.parametrize('exif', [b'xx', b'Exif\0\0garbage', b'Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03',
                                  b'Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x03\0\0\0ab\0\0\0\0\0\0'])
@pytest.mark.filterwarnings('ignore:.*EXIF')
def test_exif_that_makes_no_sense_does_not_cost_the_picture(exif):
    buffer = io.BytesIO()
    Image.fromarray(np.full((40, 50, 3), 99, np.uint8)).save(buffer, 'JPEG', exif=exif)
    load = LoadRandomResizedCrop(16)
    assert np.abs(load(dict(img_path='x', img_bytes=buffer.getvalue()))['img'].astype(int) - 99).max() <= 2


def test_where_crops_lie_is_distributed_as_in_mmpretrain():
    """Independent draws of both, compared by Kolmogorov and Smirnov's distance of every quantity that describes a crop."""
    from scipy.stats import ks_2samp
    ramp = np.stack(np.meshgrid(np.linspace(0, 250, 120), np.linspace(0, 250, 90)) + [np.zeros((90, 120))], -1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(ramp[..., ::-1]).save(buffer, 'PNG')
    load = LoadRandomResizedCrop(8, crop_ratio_range=(0.2, 1.0))
    stock = RandomResizedCrop(8, crop_ratio_range=(0.2, 1.0), backend='pillow', interpolation='bicubic')

    def describe(img):
        x, y = img[..., 0].astype(float), img[..., 1].astype(float)
        return x.mean(), y.mean(), x[:, -1].mean() - x[:, 0].mean(), y[-1].mean() - y[0].mean()

    np.random.seed(0)
    ours = np.array([describe(load(dict(img_path='x.png', img_bytes=buffer.getvalue()))['img']) for _ in range(600)])
    theirs = np.array([describe(stock(dict(img=ramp))['img']) for _ in range(600)])
    for quantity in range(4):
        assert ks_2samp(ours[:, quantity], theirs[:, quantity]).pvalue > 1e-3
    narrow = np.array([describe(RandomResizedCrop(8, crop_ratio_range=(0.4, 1.0), backend='pillow')(dict(img=ramp))['img'])
                       for _ in range(600)])
    assert ks_2samp(narrow[:, 2], ours[:, 2]).pvalue < 1e-3  # the comparison does tell distributions apart


@pytest.mark.parametrize('kind, mode', [
    ('JPEG', 'L'), ('JPEG', 'CMYK'), ('PNG', 'RGBA'), ('PNG', 'P'), ('PNG', 'L'), ('WEBP', 'RGB')])
def test_other_formats_and_colours_become_bgr(kind, mode):
    ours = LoadRandomResizedCrop(64)(dict(img_path='x', img_bytes=textured((200, 150), kind=kind, mode=mode)))
    assert ours['img'].shape == (64, 64, 3) and ours['img'].dtype == np.uint8
    assert ours['img'].std() > 5


@pytest.mark.parametrize('content', [
    b'', b'not a picture', picture(1)[:500], textured((200, 150), kind='PNG')[:3000], b'\xff\xd8\xff\xe0' + bytes(100)])
def test_what_cannot_be_read_is_left_out_and_counted(content):
    load = LoadRandomResizedCrop(16)
    assert load(dict(img_path='x', img_bytes=content)) is None
    assert load.bad_samples.state()[:2] == (1, 1)


def test_a_missing_file_counts_too_and_a_path_is_read(tmp_path):
    load = LoadRandomResizedCrop(16)
    assert load(dict(img_path=str(tmp_path / 'absent.jpg'))) is None
    (tmp_path / 'a.jpg').write_bytes(picture(1))
    assert load(dict(img_path=str(tmp_path / 'a.jpg')))['img_shape'] == (16, 16)
    assert load.bad_samples.state()[:2] == (2, 1)
