"""The record of a cure, and the one import hook that lets a cure wait for its library."""
from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType


@dataclass
class Cure:
    """One cure of one breakage.

    Args:
        name: Short name, as printed in logs and by ``python -m sapiens_mm.env``.
        library: The library that breaks.
        affected: Versions that break, in words.
        until: The condition at which this cure can be deleted.
        effect: What is broken and what the cure does about it, one sentence.
        install: Called once with the cure when ``sapiens_mm`` is imported; must import nothing heavy. It, or what it
            leaves waiting, calls :meth:`activated` or :meth:`not_needed`.
    """
    name: str
    library: str
    affected: str
    until: str
    effect: str
    install: Callable[[Cure], None]
    state: str = 'not installed'
    reason: str = ''

    def install_once(self) -> None:
        """Install the cure unless it is installed."""
        if self.state == 'not installed':
            self.state = 'standing by'
            self.install(self)

    def activated(self, reason: str) -> None:
        """Record that the cure is in force, and say so once in the log."""
        if self.state != 'active':
            self.state, self.reason = 'active', reason
            _announce(f'sapiens_mm compatibility: {self.name} is active ({reason}). {self.effect}')

    def not_needed(self, reason: str) -> None:
        """Record that the installed versions do not need the cure."""
        self.state, self.reason = 'not needed', reason

    def failed(self, error: Exception) -> None:
        """Record that the cure could not be put in force: the library has changed under it."""
        self.state, self.reason = 'failed', f'{type(error).__name__}: {error}'
        _announce(f'sapiens_mm compatibility: {self.name} FAILED ({self.reason}). {self.effect}')

    def after_import(self, module: str, apply: Callable[[ModuleType], None]) -> None:
        """Call ``apply(module)`` now if ``module`` is imported, else right after it will have been."""

        def guarded(loaded: ModuleType) -> None:
            try:
                apply(loaded)
            except Exception as error:  # a cure must never be what breaks the import of someone's library
                self.failed(error)

        loaded = sys.modules.get(module)
        if loaded is not None and not getattr(loaded.__spec__, '_initializing', False):
            guarded(loaded)
        else:
            _hook().watch(module, after=guarded)

    def on_import_failure(self, module: str, explain: Callable[[Exception], str | None]) -> None:
        """If importing ``module`` fails and ``explain(error)`` returns a sentence, raise that sentence instead.

        The type of the error is kept, so that a library's own ``try``/``except`` around the import goes on working.
        """

        def replace(error: Exception) -> None:
            sentence = explain(error)
            if sentence is not None and sentence not in str(error):  # a module may import itself again
                self.activated(sentence)
                raise type(error)(f'{sentence} (original error: {error})') from error

        _hook().watch(module, failed=replace)


class _ImportHook(importlib.abc.MetaPathFinder):
    """First on ``sys.meta_path``; finds nothing itself, but runs call-backs around the loading of watched modules."""

    def __init__(self) -> None:
        self.after: dict[str, list[Callable[[ModuleType], None]]] = {}
        self.failed: dict[str, list[Callable[[Exception], None]]] = {}
        self.looking_for: set[str] = set()

    def watch(self, module: str, after: Callable | None = None, failed: Callable | None = None) -> None:
        if after is not None:
            self.after.setdefault(module, []).append(after)
        if failed is not None:
            self.failed.setdefault(module, []).append(failed)

    def find_spec(self, fullname, path=None, target=None):
        if fullname in self.looking_for or not (fullname in self.after or fullname in self.failed):
            return None
        self.looking_for.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self.looking_for.discard(fullname)
        if spec is None or not hasattr(spec.loader, 'exec_module') or isinstance(spec.loader, type):
            return spec
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            try:
                load(module)
            except Exception as error:
                for call in self.failed.get(fullname, ()):
                    call(error)
                raise
            for call in self.after.pop(fullname, ()):
                call(module)

        spec.loader.exec_module = exec_module  # the loader belongs to this one module
        return spec


def _hook() -> _ImportHook:
    for finder in sys.meta_path:
        if isinstance(finder, _ImportHook):
            return finder
    hook = _ImportHook()
    sys.meta_path.insert(0, hook)
    return hook


_unsaid: list[str] = []


def _announce(message: str) -> None:
    import multiprocessing  # not needed by an import of sapiens_mm alone
    if multiprocessing.parent_process() is None:  # data loader workers stay silent
        _unsaid.append(message)
        flush_announcements()


def flush_announcements() -> None:
    """Write what is still unsaid to mmengine's current logger, if one has been made (it speaks on rank 0 only).

    Cures act while configs are read, before the runner makes its logger; the registry calls this again when the first
    component is built, so that the lines reach the log file of the run.
    """
    mmengine_logging = sys.modules.get('mmengine.logging')
    logger = getattr(mmengine_logging, 'MMLogger', None)
    if not getattr(logger, '_instance_dict', None):
        return
    while _unsaid:
        mmengine_logging.print_log(_unsaid.pop(0), logger='current')
