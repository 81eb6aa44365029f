"""Sapiens human-vision models for stock OpenMMLab.

Importing the package installs the cures of :mod:`sapiens_mm.compat` and nothing else: torch, mmengine and the task
rooms are imported when something of them is used. Components are found through :mod:`sapiens_mm.registry`, which
mmengine imports by itself when it meets a type written ``sapiens_mm.X``.
"""
from .compat import activate
from .version import __version__

activate()

__all__ = ['__version__']
