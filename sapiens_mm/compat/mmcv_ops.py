"""mmcv's compiled operators, where only mmcv-lite is installed."""
from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from types import ModuleType

from .cure import Cure


class CompiledOpMissingError(NotImplementedError):
    """An operator was called that only a compiled mmcv has."""


class _StandIn(ModuleType):
    """``mmcv._ext``: a few operators through torchvision, a clear error for every other name."""

    def __getattr__(self, name: str):
        if name.startswith('__'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')

        def missing(*args, **kwargs):
            raise CompiledOpMissingError(
                f'The operator {name!r} needs mmcv with compiled operators, and only mmcv-lite is installed. Build it '
                'against your torch: pip uninstall mmcv-lite, then pip install --no-build-isolation mmcv==2.1.0 '
                '(see docs/install.md).')

        missing.__name__ = missing.__qualname__ = name
        return missing


class _StandInFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Serves ``mmcv._ext``. Appended to ``sys.meta_path``: a real extension is always found first."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname == 'mmcv._ext':
            return importlib.util.spec_from_loader(fullname, self, origin=__name__)
        return None

    def create_module(self, spec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        from . import mmcv_ext
        for name in mmcv_ext.__all__:
            setattr(module, name, getattr(mmcv_ext, name))
        MMCV_OPS.activated('mmcv has no compiled operators')


def _install(cure: Cure) -> None:
    sys.meta_path.append(_StandInFinder())

    def real(module: ModuleType) -> None:
        if not isinstance(module, _StandIn):
            cure.not_needed('mmcv has compiled operators')

    cure.after_import('mmcv._ext', real)


MMCV_OPS = Cure(
    name='mmcv-ops',
    library='mmcv-lite',
    affected='2.x: mmdet, mmseg.models and, through mmdet, mmpose.models import mmcv.ops unconditionally',
    until='mmpose and mmseg import without mmcv.ops, or prebuilt mmcv exists for every torch that is supported',
    effect='nms, soft-nms and roi_align run through torchvision; any other operator raises an error that names it.',
    install=_install,
)
