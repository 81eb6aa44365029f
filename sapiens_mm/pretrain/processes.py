"""Local processes that share work and do not outlive the one that started them."""
from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait


def _start(setup: Callable | None, args: tuple) -> None:
    def end_with_parent() -> None:
        wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    # A parent that is killed cannot tell its processes to stop: they would wait for more work forever.
    threading.Thread(target=end_with_parent, daemon=True).start()
    if setup is not None:
        setup(*args)


def process_pool(processes: int, method: str, setup: Callable | None = None, args: tuple = ()) -> ProcessPoolExecutor:
    """A pool of processes that end when this one is killed.

    Args:
        processes: How many.
        method: ``'fork'`` or ``'spawn'``.
        setup: Called with ``args`` at the start of each.
        args: See ``setup``.
    """
    return ProcessPoolExecutor(processes, multiprocessing.get_context(method), _start, (setup, args))
