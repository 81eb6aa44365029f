from pathlib import Path

import pytest

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from tests.support import ROOT, load_tool


@pytest.fixture(scope='session')
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """Reference cases and photographs that lie beside the repository; tests that need them skip where they are absent."""
    path = ROOT.parent / 'shared'
    if not path.is_dir():
        pytest.skip(f'{path} is not here: reference cases and photographs are not part of the repository')
    return path


@pytest.fixture(scope='session')
def tool():
    """Loads a script below tools/ as a module."""
    return load_tool


@pytest.fixture
def tiny_arch() -> dict:
    """A backbone small enough for any machine."""
    return dict(embed_dims=48, num_layers=3, num_heads=4, feedforward_channels=96)


@pytest.fixture(autouse=True)
def _fresh_mmengine_state():
    """Default scope, message hub and loggers are global in mmengine; no test inherits another's."""
    yield
    from mmengine.logging import MessageHub
    from mmengine.registry import DefaultScope
    from mmengine.visualization import Visualizer
    for manager in (DefaultScope, MessageHub, Visualizer):
        manager._instance_dict.clear()


@pytest.fixture
def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    import socket
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]
