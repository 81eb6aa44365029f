"""What stock OpenMMLab needs to run on today's torch, numpy and setuptools: the only place that knows which is broken.

One file per cure. Each declares a :class:`~sapiens_mm.compat.cure.Cure` that names the library, the affected versions
and the condition at which the file can be deleted. ``python -m sapiens_mm.env`` lists them with their state.
"""
from .advice import ADVICE
from .checkpoint_sources import CHECKPOINT_SOURCES
from .config_prefix import CONFIG_PREFIX
from .cpu_distributed import CPU_DISTRIBUTED
from .cure import Cure, flush_announcements
from .mmcv_ops import MMCV_OPS
from .safe_globals import SAFE_GLOBALS

CURES = (MMCV_OPS, SAFE_GLOBALS, CHECKPOINT_SOURCES, CONFIG_PREFIX, CPU_DISTRIBUTED, ADVICE)


def activate() -> None:
    """Install every cure once. Imports nothing heavy: a cure acts when the library it cures is imported or used."""
    for cure in CURES:
        cure.install_once()


__all__ = ['CURES', 'Cure', 'activate', 'flush_announcements']
