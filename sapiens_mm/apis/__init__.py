"""Inferencers: images, folders and video in; data samples, files and pictures out."""
from importlib import import_module

_HOME = dict(PoseInferencer='pose', PartsInferencer='dense', DepthInferencer='dense', NormalInferencer='dense',
             FeatureInferencer='features', SapiensInferencer='multi', read_image='inputs', PersonDetector='boxes')
__all__ = sorted(_HOME)


def __getattr__(name: str):
    """Import the module of a public name when it is first used; importing the package stays light."""
    if name not in _HOME:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_HOME[name]}'), name)
