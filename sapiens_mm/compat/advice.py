"""One clear sentence where a broken installation would end in a riddle. Nothing is repaired here."""
from __future__ import annotations

import importlib.abc
import sys

from .cure import Cure

_PKG_RESOURCES = ("mmengine imports pkg_resources, which setuptools 82 and later no longer has: "
                  "pip install 'setuptools<82'")


def _numpy_abi(error: Exception) -> str | None:
    if 'numpy.dtype size changed' in str(error) or 'numpy.core.multiarray failed to import' in str(error):
        return ('xtcocotools was built for another numpy than the one installed: '
                "pip install 'numpy>=1.26,<2', or rebuild it (docs/install.md, numpy 2)")
    return None


def _torchvision_pair(error: Exception) -> str | None:
    if 'torchvision::' in str(error) or 'undefined symbol' in str(error):
        return ('torchvision does not fit the installed torch: install the torchvision released with it, from the same '
                'index (torch 2.11 goes with torchvision 0.26, and so on)')
    return None


def _mmcv_pair(error: Exception) -> str | None:
    if 'undefined symbol' in str(error) or 'cannot open shared object' in str(error):
        return ("mmcv's compiled operators were built for another torch: rebuild them with pip install "
                '--force-reinstall --no-deps --no-build-isolation --no-binary mmcv mmcv==2.1.0, '
                'or replace mmcv by mmcv-lite==2.1.0')
    return None


def _no_display_library(error: Exception) -> str | None:
    if 'libGL' in str(error) or 'libgthread' in str(error):
        return ('opencv-python needs the display libraries of a desktop: apt-get install libgl1 libglib2.0-0, or '
                'pip uninstall opencv-python and pip install opencv-python-headless==4.11.0.86')
    return None


class _NoPkgResources(importlib.abc.MetaPathFinder):
    """Last on ``sys.meta_path``: asked for ``pkg_resources`` only where nobody has it."""

    def find_spec(self, fullname, path=None, target=None):
        # Others probe for pkg_resources and do well without; only mmengine's call deserves the sentence.
        if fullname == 'pkg_resources' and _imported_by('mmengine.utils.package_utils'):
            ADVICE.activated(_PKG_RESOURCES)
            raise ModuleNotFoundError(_PKG_RESOURCES, name=fullname)
        return None


def _imported_by(module: str) -> bool:
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get('__name__') == module:
            return True
        frame = frame.f_back
    return False


def _install(cure: Cure) -> None:
    cure.on_import_failure('xtcocotools.mask', _numpy_abi)
    cure.on_import_failure('torchvision', _torchvision_pair)
    cure.on_import_failure('mmcv._ext', _mmcv_pair)
    cure.on_import_failure('cv2', _no_display_library)
    sys.meta_path.append(_NoPkgResources())


ADVICE = Cure(
    name='advice',
    library='xtcocotools, torchvision, mmcv, opencv-python, setuptools',
    affected='binaries built for another numpy or torch, missing system libraries; setuptools 82 and later',
    until='xtcocotools has wheels for numpy 2 and mmengine no longer imports pkg_resources',
    effect='The import error says what to install.',
    install=_install,
)
