"""Two processes on a machine without an accelerator, started the way torchrun starts them."""
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

import sapiens_mm

SCRIPT = """
import sapiens_mm
import torch
from mmengine.dist import all_reduce, get_backend, get_rank, init_dist
from mmengine.model import BaseModel, MMDistributedDataParallel

class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1, bias=False)
    def forward(self, x, mode='tensor'):
        return self.linear(x)

init_dist('pytorch', backend='nccl')
torch.manual_seed(get_rank())
model = MMDistributedDataParallel(Model(), device_ids=[get_rank()])
model(torch.full((1, 1), get_rank() + 1.)).sum().backward()
total = torch.tensor([get_rank() + 1.])
all_reduce(total)
grad = model.module.linear.weight.grad.item()
print(f'rank={get_rank()} backend={get_backend()} total={total.item()} grad={grad}', flush=True)
torch.distributed.barrier()
torch.distributed.destroy_process_group()  # gloo's threads abort a program that leaves them behind
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason='the cure stands by where there is an accelerator')
def test_two_ranks_on_cpu(tmp_path):
    script = tmp_path / 'ranks.py'
    script.write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2',
         str(script)],
        capture_output=True, text=True, timeout=120,
        env={**os.environ, 'PYTHONPATH': str(Path(sapiens_mm.__file__).parents[1]), 'OMP_NUM_THREADS': '1'})
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        # gradients of the two ranks are 1 and 2; data parallel averages them
        assert f'rank={rank} backend=gloo total=3.0 grad=1.5' in done.stdout
