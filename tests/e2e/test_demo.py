"""The demo, from nothing to pictures, shortened."""
import os
import subprocess
import sys

from tests.support import ROOT


def test_demo_leaves_figures_and_pictures_and_can_run_again(tmp_path):
    command = [sys.executable, 'demo/toy_pose.py', '--data', str(tmp_path / 'toy'), '--work-dir', str(tmp_path / 'run'),
               '--num-train', '8', '--num-val', '4', '--max-epochs', '1']
    for _ in range(2):
        out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280,
                             env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'})
        assert out.returncode == 0, out.stdout[-1000:] + out.stderr[-2000:]
        assert 'On 4 people that it has not seen' in out.stdout and 'body_AP' in out.stdout
    assert len(list((tmp_path / 'run' / 'pictures').glob('*.jpg'))) == 5
    assert len(list((tmp_path / 'run').glob('epoch_*.pth'))) == 1
