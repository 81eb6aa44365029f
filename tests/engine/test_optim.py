import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import SGD

import sapiens_mm
from sapiens_mm.engine.optim import SafeOptimWrapper


def wrapper(model, lr=1., **kwargs):
    return SafeOptimWrapper(optimizer=SGD(model.parameters(), lr=lr), **kwargs)


@pytest.fixture
def model():
    model = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(model.weight)
    return model


@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('clip', [None, dict(max_norm=1e9)])
def test_elements_that_are_not_finite_do_not_reach_the_weights(model, bad, clip):
    optim = wrapper(model, clip_grad=clip)
    model.weight.register_hook(lambda grad: torch.tensor([[bad, 2.]]))
    optim.update_params(model(torch.ones(1, 2)).sum())
    torch.testing.assert_close(model.weight.data, torch.tensor([[0., -2.]]))


def test_a_spike_is_dropped_and_its_level_not_remembered(model):
    optim = wrapper(model)
    for scale, expected in ((1., -1.), (100., -1.), (1., -2.), (20., -22.), (100., -122.)):
        out = model(torch.ones(1, 2)).sum()
        optim.update_params((1 + out - out.detach()) * scale)
        assert model.weight[0, 0].item() == pytest.approx(expected), scale


@pytest.mark.parametrize('bad', [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_dropped(model, bad):
    optim = wrapper(model)
    optim.update_params(model(torch.ones(1, 2)).sum() * bad)
    assert torch.equal(model.weight.data, torch.zeros(1, 2))
    optim.update_params(model(torch.ones(1, 2)).sum() + 1)
    assert torch.equal(model.weight.data, -torch.ones(1, 2))


def test_a_new_level_is_accepted_in_the_end(model):
    optim = wrapper(model, lr=0., max_dropped=3)
    accepted = []
    for value in (1., 100., 100., 100., 100., 100.):
        optim.update_params(model(torch.ones(1, 2)).sum() + value)
        accepted.append(optim.message_hub.get_info('sapiens_mm_loss_guard')[0])
    assert accepted == [1., 1., 1., 1., 100., 100.]


def test_a_loss_that_stays_broken_stops_the_run(model):
    optim = wrapper(model, max_dropped=2)
    with pytest.raises(FloatingPointError, match='3 iterations in a row'):
        for _ in range(5):
            optim.update_params(model(torch.ones(1, 2)).sum() * math.nan)


def test_a_loss_near_zero_does_not_drop_everything_after_it(model):
    optim = wrapper(model, lr=0.)
    for value in (0., 1.):
        optim.update_params(model(torch.ones(1, 2)).sum() + value)
        assert optim.message_hub.get_info('sapiens_mm_loss_guard') == (value, 0)


def test_gradient_accumulation_keeps_the_good_batches(model):
    optim = wrapper(model, accumulative_counts=2)
    optim.initialize_count_status(model, 0, 4)
    optim.update_params(model(torch.ones(1, 2)).sum() + 1)
    optim.update_params(model(torch.ones(1, 2)).sum() + 1000)  # dropped
    torch.testing.assert_close(model.weight.data, torch.full((1, 2), -0.5))


def test_guard_can_be_switched_off(model):
    optim = wrapper(model, max_loss_ratio=None)
    for scale in (1., 100.):
        optim.update_params(model(torch.ones(1, 2)).sum() * scale)
    assert model.weight[0, 0].item() == -101.


def test_bfloat16_on_a_cpu(model):
    optim = wrapper(model, dtype='bfloat16')
    with optim.optim_context(model):
        assert model(torch.ones(1, 2)).dtype == torch.bfloat16
    assert model(torch.ones(1, 2)).dtype == torch.float32


@pytest.mark.parametrize('kwargs, words', [(dict(dtype='float16'), 'SafeAmpOptimWrapper'), (dict(max_loss_ratio=1.), 'above 1')])
def test_mistakes_are_named(model, kwargs, words):
    with pytest.raises(ValueError, match=words):
        wrapper(model, **kwargs)


TWO_RANKS = """
import json, math, sys
import sapiens_mm
import torch
from mmengine.dist import get_rank, init_dist
from torch import nn
from torch.optim import SGD
from sapiens_mm.engine.optim import SafeOptimWrapper

init_dist('pytorch', backend='gloo')
rank = get_rank()
model = nn.Linear(2, 1, bias=False)
nn.init.zeros_(model.weight)
ddp = nn.parallel.DistributedDataParallel(model)
optim = SafeOptimWrapper(optimizer=SGD(ddp.parameters(), lr=1.))
for losses in ((1., 1.), (1., 100.), (1., math.nan), (1., 1.)):  # the spike and the fault are on rank 1 alone
    out = ddp(torch.ones(1, 2)).sum()
    optim.update_params((1 + out - out.detach()) * losses[rank])
with open(f'{sys.argv[1]}/{rank}.json', 'w') as file:
    json.dump([model.weight.tolist(), optim.message_hub.get_info('sapiens_mm_loss_guard')], file)
torch.distributed.barrier()
torch.distributed.destroy_process_group()  # gloo's threads abort a program that leaves them behind
"""


def test_processes_agree(tmp_path):
    script = tmp_path / 'ranks.py'
    script.write_text(TWO_RANKS)
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2', str(script),
         str(tmp_path)],
        capture_output=True, text=True, timeout=200,
        env={**os.environ, 'PYTHONPATH': str(Path(sapiens_mm.__file__).parents[1]), 'OMP_NUM_THREADS': '1'})
    assert done.returncode == 0, done.stderr
    results = [json.loads((tmp_path / f'{rank}.json').read_text()) for rank in range(2)]
    assert results[0] == results[1]
    assert results[0][0] == [[-2., -2.]]  # the first and the last batch only
