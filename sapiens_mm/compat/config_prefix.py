"""``_base_ = 'sapiens_mm::...'`` in configs of other projects."""
from __future__ import annotations

from pathlib import Path
from types import ModuleType

from .cure import Cure

_PACKAGE = 'sapiens_mm'


def _install(cure: Cure) -> None:

    def list_package(utils: ModuleType) -> None:
        utils.MODULE2PACKAGE.setdefault(_PACKAGE, _PACKAGE)
        cure.activated('the list of packages that configs can inherit from is fixed in mmengine')

    def locate_package(user: ModuleType) -> None:
        stock = user.get_installed_path

        def get_installed_path(package: str) -> str:
            # mmengine guesses from the metadata's place, which is elsewhere in an editable installation
            return str(Path(__file__).parents[1]) if package == _PACKAGE else stock(package)

        user.get_installed_path = get_installed_path

    cure.after_import('mmengine.config.utils', list_package)
    for user in ('mmengine.config.config', 'mmengine.hub.hub'):
        cure.after_import(user, locate_package)


CONFIG_PREFIX = Cure(
    name='config-prefix',
    library='mmengine',
    affected="0.x: only OpenMMLab's own packages can be named before '::'",
    until='mmengine accepts any installed package before ::',
    effect="_base_ = 'sapiens_mm::...' works in configs that are read after sapiens_mm was imported.",
    install=_install,
)
