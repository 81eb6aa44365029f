"""``--launcher pytorch`` on a machine without an accelerator."""
from __future__ import annotations

import functools
from types import ModuleType

from .cure import Cure


def _install(cure: Cure) -> None:

    def apply(module: ModuleType) -> None:
        stock = module._init_dist_pytorch

        @functools.wraps(stock)
        def init_dist_pytorch(backend, init_backend='torch', **kwargs):
            import torch
            from mmengine.device import get_device
            if torch.cuda.is_available() or get_device() != 'cpu' or init_backend != 'torch':
                return stock(backend, init_backend=init_backend, **kwargs)
            torch.distributed.init_process_group(backend='gloo' if backend == 'nccl' else backend, **kwargs)
            _let_parameters_decide_the_device()
            cure.activated('started by a launcher and no accelerator is available')

        module._init_dist_pytorch = init_dist_pytorch

    cure.after_import('mmengine.dist.utils', apply)


def _let_parameters_decide_the_device() -> None:
    """The runner hands ``device_ids=[local rank]`` to the data-parallel wrapper, which refuses it for a CPU model."""
    from mmengine.model import MMDistributedDataParallel
    stock = MMDistributedDataParallel.__init__

    @functools.wraps(stock)
    def init(self, module, *args, **kwargs):
        kwargs['device_ids'] = None
        stock(self, module, *args, **kwargs)

    MMDistributedDataParallel.__init__ = init


CPU_DISTRIBUTED = Cure(
    name='cpu-distributed',
    library='mmengine',
    affected='0.10: --launcher pytorch calls torch.cuda.set_device and passes device_ids on any machine',
    until='mmengine starts the gloo back end on a machine without an accelerator',
    effect='Processes talk through gloo and the model stays on the CPU.',
    install=_install,
)
