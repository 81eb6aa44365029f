import pytest
import torch
import torch.nn.functional as F

from sapiens_mm.seg.row_resize import RowResizer, argmax_resized

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU'))]
SIZES = [((64, 48), (90, 110)), ((512, 384), (1024, 768)), ((37, 23), (38, 888)), ((1024, 30), (801, 613)), ((21, 73), (444, 194)),
         ((64, 48), (1, 200)), ((12, 9), (600, 7)), ((33, 21), (777, 35)), ((90, 51), (89, 49)), ((16, 12), (12, 129))]


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize(('before', 'after'), SIZES)
def test_rows_are_those_of_interpolate(before, after, channels_last, device):
    x = torch.randn(1, 5, *before, device=device)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    expected = F.interpolate(x, after, mode='bilinear', align_corners=False)
    resizer = RowResizer(before, after, x.device)
    assert resizer.supported
    for stripe in (1, 13, after[0]):
        for start in range(0, after[0], stripe):
            stop = min(start + stripe, after[0])
            first, last = resizer.source_rows(start, stop)
            part = x[:, :, first:last]
            if channels_last:
                part = part.contiguous(memory_format=torch.channels_last)
            assert torch.equal(resizer.rows(part, start, stop, first), expected[:, :, start:stop])


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('sizes', [[(256, 192), (1001, 751)], [(64, 48), (1001, 751)], [(1600, 901)], [(300, 192), (64, 999)], [],
                                   [(200, 20), (3, 3)], [(64, 100), (1000, 700)]])
def test_argmax_without_the_map(sizes, device, monkeypatch):
    monkeypatch.setattr('sapiens_mm.seg.row_resize._STRIPE', 20000)
    logits = torch.randn(1, 6, 64, 48, device=device)
    expected = logits
    for size in sizes:
        expected = F.interpolate(expected, size, mode='bilinear', align_corners=False)
    got = argmax_resized(logits, sizes)
    assert got.dtype == torch.uint8
    assert torch.equal(got.long(), expected.argmax(1))


def test_ties_go_to_the_first_class(monkeypatch):
    monkeypatch.setattr('sapiens_mm.seg.row_resize._STRIPE', 100)
    logits = torch.zeros(1, 4, 20, 30)
    logits[:, 1:3, 10:] = 1
    expected = F.interpolate(logits, (211, 199), mode='bilinear').argmax(1)
    assert torch.equal(argmax_resized(logits, [(211, 199)], torch.int64), expected)
    assert set(expected.unique().tolist()) == {0, 1}


def test_other_precisions_take_the_whole_map():
    logits = torch.randn(1, 3, 40, 30).bfloat16()
    expected = F.interpolate(logits, (2001, 1501), mode='bilinear').argmax(1)
    assert torch.equal(argmax_resized(logits, [(2001, 1501)], torch.int64), expected)
