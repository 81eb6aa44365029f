"""Metrics of two processes are those of one."""
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import sapiens_mm

SCRIPT = """
import json, sys
import sapiens_mm
import torch
import torch.nn.functional as F
from mmengine.dataset import DefaultSampler
from mmengine.dist import get_rank, get_world_size, init_dist
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

init_default_scope('mmseg')
if int(sys.argv[1]) > 1:
    init_dist('pytorch', backend='gloo')
torch.manual_seed(0)
samples = []
for i in range(7):
    size = (10 + i, 12)
    sample = SegDataSample(metainfo=dict(img_path=str(i)))
    target = torch.rand(1, *size) + 1
    normal = F.normalize(torch.randn(3, *size), dim=0)
    fields = dict(gt_sem_seg=torch.randint(0, 4, (1, *size)), pred_sem_seg=torch.randint(0, 4, (1, *size)).byte(),
                  gt_depth_map=target, pred_depth_map=0.3 * target + 0.1 * torch.rand(1, *size), gt_normal_map=normal,
                  pred_normal_map=normal + 0.5 * torch.randn(3, *size), gt_mask=torch.full((1, *size), float(i != 4)))
    sample.set_data({name: PixelData(data=data) for name, data in fields.items()})
    samples.append(sample)


def evaluate(round_up):
    # mmengine's sampler fills up with the first samples, which must not count twice, or leaves the last process one short.
    evaluator = Evaluator([dict(type='sapiens_mm.PartsMetric'), dict(type='sapiens_mm.DepthMetric'),
                           dict(type='sapiens_mm.DepthMetric', align='median', average='pixel', raw=False, prefix='pooled'),
                           dict(type='sapiens_mm.NormalMetric')])
    evaluator.dataset_meta = dict(classes=('a', 'b', 'c', 'd'))
    mine = list(DefaultSampler(samples, shuffle=False, round_up=round_up))
    if get_world_size() > 1:
        assert len(mine) == (4 if round_up or get_rank() == 0 else 3)
    for i in mine:
        evaluator.process([samples[i]])
    return evaluator.evaluate(7)


results = [evaluate(True), evaluate(False)]
if get_rank() == 0:
    print('RESULT' + json.dumps(results, default=float), flush=True)
if torch.distributed.is_initialized():  # gloo's threads abort a program that leaves them behind
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
"""


@pytest.fixture(scope='module')
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp('ranks') / 'ranks.py'
    path.write_text(textwrap.dedent(SCRIPT))
    return path


def run(script, processes):
    launcher = ['-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={processes}'] if processes > 1 else []
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', *launcher, str(script), str(processes)], capture_output=True, text=True, timeout=240,
        cwd=script.parent,
        env={**os.environ, 'PYTHONPATH': str(Path(sapiens_mm.__file__).parents[1]), 'OMP_NUM_THREADS': '1',
             'CUDA_VISIBLE_DEVICES': ''})
    assert done.returncode == 0, done.stderr
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith('RESULT'))[len('RESULT'):])


def test_two_processes(script):
    (alone, _), together = run(script, 1), run(script, 2)
    for metrics in together:
        assert metrics == pytest.approx(alone, rel=1e-12)
    assert {'mIoU', 'depth/AbsRel', 'depth/raw_delta1', 'pooled/RMSE', 'normal/median'} <= set(alone)
    assert 0 < alone['depth/AbsRel'] < alone['depth/raw_AbsRel']
