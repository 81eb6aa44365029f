"""The batched decoder against mmpose's."""
import numpy as np
import pytest
import torch
from mmpose.codecs import UDPHeatmap

from sapiens_mm.pose import decode
from sapiens_mm.pose.decode import decode_udp
from sapiens_mm.pose.head import SapiensPoseHead
from tests.support import load_tool

bench = load_tool('benchmarks/decode.py')


def stock(maps, input_size, kernel):
    codec = UDPHeatmap(input_size=input_size, heatmap_size=maps.shape[:1:-1], blur_kernel_size=kernel)
    decoded = [codec.decode(m) for m in maps.numpy()]
    return np.concatenate([d[0] for d in decoded]), np.concatenate([d[1] for d in decoded])


def steps(points, maps, input_size):
    """How far the refinement has moved each point, in heatmap pixels."""
    H, W = maps.shape[-2:]
    at = maps.flatten(2).argmax(-1).numpy()
    return np.abs(points / input_size * [W - 1, H - 1] - np.stack([at % W, at // W], -1)).max(-1)


@pytest.mark.parametrize('sigma, size, kernel', [(6, (64, 48), 11), (2, (64, 48), 11), (2, (24, 16), 7), (1, (33, 21), 5),
                                                 (3, (40, 40), 17)])
def test_gaussians(sigma, size, kernel):
    maps = bench.make_heatmaps(3, 60, *size, sigma)
    input_size = (4 * size[1], 4 * size[0])
    got, scores = decode_udp(maps, input_size, kernel)
    expected, expected_scores = stock(maps, input_size, kernel)
    np.testing.assert_array_equal(scores, expected_scores)
    good = steps(expected, maps, input_size) < 2
    assert good.mean() > 0.95
    assert np.abs(got - expected)[good].max() < 0.01
    assert got.dtype == expected.dtype and scores.dtype == expected_scores.dtype


@pytest.mark.parametrize('scale', [1e-4, 1e-3, 3e-3, 1., 60.])
def test_where_the_clipping_matters(scale):
    maps = bench.make_heatmaps(1, 80, 48, 36, 2.) * scale
    got, _ = decode_udp(maps, (144, 192))
    expected, _ = stock(maps, (144, 192), 11)
    good = (steps(expected, maps, (144, 192)) < 2) & np.isfinite(expected).all(-1)
    assert good.mean() > 0.5
    assert np.abs(got - expected)[good].max() < 0.01


def test_keypoints_that_are_not_in_the_picture(monkeypatch):
    maps = bench.make_heatmaps(2, 40, 48, 36, 2., hidden=0.5)
    blurred, rescale = [], decode._rescale
    monkeypatch.setattr(decode, '_rescale', lambda *args: blurred.extend(args[1].tolist()) or rescale(*args))
    got, scores = decode_udp(maps, (144, 192))
    expected, expected_scores = stock(maps, (144, 192), 11)
    np.testing.assert_array_equal(scores, expected_scores)
    assert (scores[:, :20] < 1e-3).all() and min(blurred, default=1) > 0.05  # none of them costs a complete blur
    assert np.abs(got - expected)[:, :20].max() < 0.01


def test_noise_with_negative_values():
    maps = torch.randn(2, 100, 40, 30, generator=torch.Generator().manual_seed(1))
    got, _ = decode_udp(maps, (120, 160))
    expected, _ = stock(maps, (120, 160), 11)
    good = steps(expected, maps, (120, 160)) < 1
    assert good.sum() > 20
    assert np.abs(got - expected)[good].max() < 0.01


def test_peaks_on_the_border():
    maps = torch.zeros(1, 8, 20, 16)
    rows, cols = torch.arange(20).view(-1, 1), torch.arange(16).view(1, -1)
    for k, (x, y) in enumerate([(0, 0), (15, 0), (0, 19), (15, 19), (0.4, 7), (15, 6.6), (8, 0.3), (3, 19)]):
        maps[0, k] = torch.exp(-((cols - x)**2 + (rows - y)**2) / 8)
    got, _ = decode_udp(maps, (64, 80))
    expected, _ = stock(maps, (64, 80), 11)
    assert np.abs(got - expected).max() < 0.01


def test_empty_heatmaps_are_outside():
    got, scores = decode_udp(torch.full((1, 2, 8, 6), -1.), (24, 32))
    assert (got < 0).all() and (scores == -1).all()


def test_half_precision_and_strides():
    maps = bench.make_heatmaps(2, 5, 32, 24, 3.).half()
    got, _ = decode_udp(maps.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2), (96, 128))
    np.testing.assert_allclose(got, decode_udp(maps.float(), (96, 128))[0])


def test_wrong_arguments():
    with pytest.raises(ValueError, match='odd kernel'):
        decode_udp(torch.zeros(1, 1, 8, 8), (32, 32), 10)
    with pytest.raises(ValueError, match=r'\(B, K, H, W\)'):
        decode_udp(torch.zeros(1, 8, 8), (32, 32))


class TestHead:
    layers = dict(in_channels=8, out_channels=5, deconv_out_channels=(8, 8), deconv_kernel_sizes=(4, 4), conv_out_channels=(8, ),
                  conv_kernel_sizes=(1, ))
    codec = dict(type='UDPHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=2)

    def test_off_by_default_and_the_same(self):
        maps = bench.make_heatmaps(2, 5, 16, 12, 2.)
        slow, fast = (SapiensPoseHead(**self.layers, decoder=self.codec, **kwargs) for kwargs in ({}, dict(fast_decode=True)))
        assert slow.fast_decode is False
        for a, b in zip(slow.decode(maps), fast.decode(maps)):
            assert a.keypoints.shape == b.keypoints.shape == (1, 5, 2) and a.keypoint_scores.shape == b.keypoint_scores.shape
            np.testing.assert_allclose(a.keypoints, b.keypoints, atol=0.01)
            np.testing.assert_array_equal(a.keypoint_scores, b.keypoint_scores)

    def test_other_codecs_are_refused(self):
        codec = dict(type='MSRAHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=2)
        with pytest.raises(ValueError, match='UDPHeatmap'):
            SapiensPoseHead(**self.layers, decoder=codec, fast_decode=True)


def test_the_benchmark_prints_both(monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['decode.py', '--batch', '1', '--keypoints', '4', '--heatmap', '24', '16', '--repeat', '1'])
    bench.main()
    out = capsys.readouterr().out
    assert 'mmpose' in out and 'milliseconds per person' in out and 'largest difference' in out
