import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample
from PIL import Image

from sapiens_mm.seg.metric import PartsMetric

META = dict(classes=('Background', 'Hair', 'Torso', 'Tongue'), palette=[[0, 0, 0]] * 4)


def sample(pred, label, name='a.png'):
    out = SegDataSample(metainfo=dict(img_path=name))
    out.pred_sem_seg = PixelData(data=torch.as_tensor(pred)[None])
    if label is not None:
        out.gt_sem_seg = PixelData(data=torch.as_tensor(label)[None])
    return out


def evaluate(samples, kind=PartsMetric, **kwargs):
    evaluator = Evaluator(kind(**kwargs))
    evaluator.dataset_meta = META
    evaluator.process(samples)
    return evaluator.evaluate(len(samples))


def test_closed_form():
    label = torch.tensor([[0, 0, 1, 1], [2, 2, 255, 255]])
    pred = torch.tensor([[0, 1, 1, 1], [2, 0, 3, 3]], dtype=torch.uint8)
    result = evaluate([sample(pred, label)])
    # intersection / union: 1 / 3, 2 / 3, 1 / 2; the tongue does not occur where pixels count
    assert result['mIoU'] == pytest.approx((100 / 3 + 200 / 3 + 50) / 3, abs=0.01)
    assert result['mAcc'] == pytest.approx((50 + 100 + 50) / 3, abs=0.01)
    assert result['aAcc'] == pytest.approx(400 / 6, abs=0.01)
    assert result['IoU_Hair'] == pytest.approx(66.67)
    assert result['Acc_Torso'] == pytest.approx(50)
    assert 'IoU_Tongue' not in result


@pytest.mark.parametrize('metrics', [['mIoU'], ['mIoU', 'mDice', 'mFscore']])
@pytest.mark.parametrize('dtype', [torch.uint8, torch.int64])
def test_figures_are_those_of_mmseg(metrics, dtype, monkeypatch):
    monkeypatch.setattr('sapiens_mm.seg.metric._CHUNK', 100)
    torch.manual_seed(0)
    samples = []
    for size in ((20, 31), (7, 9), (1, 40)):
        label = torch.randint(0, 4, size)
        label[torch.rand(size) < 0.2] = 255
        samples.append(sample(torch.where(torch.rand(size) < 0.6, label.clamp(max=3), torch.randint(0, 4, size)).to(dtype), label))
    got, expected = (evaluate(samples, kind, iou_metrics=metrics) for kind in (PartsMetric, IoUMetric))
    assert {k: got[k] for k in expected} == pytest.approx({k: float(v) for k, v in expected.items()}, abs=0.011)


def test_more_pixels_than_single_precision_counts():
    label = torch.zeros((4200, 4100), dtype=torch.uint8)  # 17.2 million, above 2^24
    label[0, 0] = 1
    result = PartsMetric.intersect_and_union(label, label, 4, 255)
    assert [int(counts[0]) for counts in result] == [4200 * 4100 - 1] * 4


@pytest.mark.parametrize(('what', 'pred', 'label'), [('the ground truth has class ids 4, 9', [[0, 0]], [[4, 9]]),
                                                     ('the ground truth has class ids -1', [[0, 0]], [[-1, 0]]),
                                                     ('the ground truth has class ids 300', [[0, 0]], [[300, 0]]),
                                                     ('the prediction has class ids 7', [[7, 0]], [[0, 0]])])
def test_ids_that_do_not_exist(what, pred, label):
    with pytest.raises(ValueError, match=f'a.png: {what}; ids must be 0 to 3, or 255'):
        evaluate([sample(torch.tensor(pred, dtype=torch.uint8), torch.tensor(label))])


def test_sizes_that_differ():
    with pytest.raises(ValueError, match='pred_sem_seg of a.png is 2 x 3 and gt_sem_seg is 2 x 2'):
        evaluate([sample(torch.zeros(2, 3), torch.zeros(2, 2))])


def test_prediction_files(tmp_path):
    pred = torch.tensor([[0, 1], [2, 3]], dtype=torch.uint8)
    evaluate([sample(pred, None, '/somewhere/b.jpg')], format_only=True, output_dir=str(tmp_path))
    assert np.array(Image.open(tmp_path / 'b.png')).tolist() == [[0, 1], [2, 3]]
    assert evaluate([sample(pred, pred)], per_class=False).keys() == {'aAcc', 'mIoU', 'mAcc'}
