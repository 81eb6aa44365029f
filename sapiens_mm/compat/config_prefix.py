"""``_base_ = 'sapiens_mm::...'`` in configs of other projects."""
from __future__ import annotations

from types import ModuleType

from .cure import Cure


def _install(cure: Cure) -> None:

    def apply(module: ModuleType) -> None:
        module.MODULE2PACKAGE.setdefault('sapiens_mm', 'sapiens_mm')
        cure.activated('the list of packages that configs can inherit from is fixed in mmengine')

    cure.after_import('mmengine.config.utils', apply)


CONFIG_PREFIX = Cure(
    name='config-prefix',
    library='mmengine',
    affected="0.x: only OpenMMLab's own packages can be named before '::'",
    until='mmengine accepts any installed package before ::',
    effect="_base_ = 'sapiens_mm::...' works in configs that are read after sapiens_mm was imported.",
    install=_install,
)
