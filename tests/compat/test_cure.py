"""The record of a cure and the import hook it waits in."""
import subprocess
import sys
import textwrap

import pytest

from sapiens_mm import compat
from sapiens_mm.compat.cure import Cure, _hook


def make(**kwargs):
    return Cure(**{**dict(name='test', library='none', affected='all', until='never', effect='Nothing.',
                          install=lambda cure: None), **kwargs})


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Writes modules that can be imported; forgets them afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names = []

    def write(name, text):
        (tmp_path / f'{name}.py').write_text(text)
        names.append(name)
        return name

    yield write
    for name in names:
        sys.modules.pop(name, None)
        _hook().after.pop(name, None)
        _hook().failed.pop(name, None)


def test_every_cure_says_what_it_is():
    assert len({cure.name for cure in compat.CURES}) == len(compat.CURES)
    for cure in compat.CURES:
        assert all((cure.library, cure.affected, cure.until, cure.effect))
        assert cure.state != 'not installed'


def test_activate_installs_once():
    installed = []
    cure = make(install=installed.append)
    cure.install_once()
    cure.install_once()
    assert installed == [cure] and cure.state == 'standing by'
    finders = list(sys.meta_path)
    compat.activate()
    assert sys.meta_path == finders


def test_waits_for_the_library(library):
    name = library('sapiens_test_late', 'value = 1\n')
    seen = []
    make().after_import(name, lambda module: seen.append(module.value))
    assert seen == [] and name not in sys.modules
    __import__(name)
    assert seen == [1]


def test_acts_at_once_on_an_imported_library(library):
    name = library('sapiens_test_early', 'value = 2\n')
    __import__(name)
    seen = []
    make().after_import(name, lambda module: seen.append(module.value))
    assert seen == [2]


def test_a_failing_cure_does_not_break_the_import(library):
    name = library('sapiens_test_changed', 'value = 3\n')
    cure = make()
    cure.after_import(name, lambda module: module.gone)
    assert __import__(name).value == 3
    assert cure.state == 'failed' and 'gone' in cure.reason


def test_import_failure_is_explained_with_its_own_type(library):
    name = library('sapiens_test_broken', 'raise ValueError("numpy.dtype size changed, may indicate")\n')
    cure = make()
    cure.on_import_failure(name, lambda error: 'Reinstall it.' if 'size changed' in str(error) else None)
    with pytest.raises(ValueError, match=r'^Reinstall it\. \(original error: numpy.dtype size changed'):
        __import__(name)
    assert cure.state == 'active'


def test_other_import_failures_pass(library):
    name = library('sapiens_test_other', 'raise ValueError("something else")\n')
    make().on_import_failure(name, lambda error: None)
    with pytest.raises(ValueError, match='^something else$'):
        __import__(name)


def run(code):
    return subprocess.run([sys.executable, '-c', textwrap.dedent(code)], capture_output=True, text=True)


def test_each_cure_speaks_once_and_in_the_log_that_mmengine_has():
    done = run("""
        import sys
        import sapiens_mm
        from sapiens_mm.compat import flush_announcements
        from sapiens_mm.compat.safe_globals import SAFE_GLOBALS
        import mmengine.runner.checkpoint
        print('no logger yet')
        from mmengine.logging import MMLogger
        MMLogger.get_instance('run', logger_name='run')
        flush_announcements()
        flush_announcements()
        SAFE_GLOBALS.activated('again')
        """)
    out = done.stdout + done.stderr
    quiet, _, spoken = out.partition('no logger yet')
    assert done.returncode == 0, done.stderr
    assert 'compatibility' not in quiet
    assert spoken.count('safe-globals is active') == 1 and spoken.count('config-prefix is active') == 1


def test_workers_stay_silent():
    done = run("""
        import multiprocessing

        def work():
            import sapiens_mm
            import mmengine.runner.checkpoint
            from sapiens_mm.compat import cure, CURES
            print('unsaid', cure._unsaid, [c.state for c in CURES if c.name == 'config-prefix'])

        process = multiprocessing.get_context('fork').Process(target=work)
        process.start()
        process.join()
        """)
    assert "unsaid [] ['active']" in done.stdout, done.stderr
