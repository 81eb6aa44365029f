"""Pools of processes: set up, and gone when the one that started them is killed."""
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sapiens_mm.pretrain.processes import process_pool

ROOT = Path(__file__).resolve().parents[2]
PARENT = """
import os, sys, time
from sapiens_mm.pretrain.processes import process_pool
if __name__ == '__main__':
    with process_pool(2, sys.argv[1], time.sleep, (0, )) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(600)
"""


def test_each_process_is_set_up():
    with process_pool(2, 'fork', os.environ.__setitem__, ('SAPIENS_MM_TEST_POOL', 'yes')) as pool:
        assert list(pool.map(os.getenv, ['SAPIENS_MM_TEST_POOL'] * 4)) == ['yes'] * 4
    assert 'SAPIENS_MM_TEST_POOL' not in os.environ


def running(pid):
    """Whether a process is there and is not only waiting to be buried."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_processes_end_with_a_killed_parent(tmp_path, method):
    script = tmp_path / 'parent.py'
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script), method], stdout=subprocess.PIPE, text=True,
                              env={**os.environ, 'PYTHONPATH': str(ROOT)})
    child = int(parent.stdout.readline())
    assert running(child)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(child)
