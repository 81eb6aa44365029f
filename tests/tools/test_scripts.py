import os
import subprocess
import sys

import pytest

from tests.support import ROOT

SCRIPTS = ('dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh')


@pytest.mark.parametrize('script', SCRIPTS)
def test_usage(script):
    out = subprocess.run(['bash', ROOT / 'tools' / script], capture_output=True, text=True)
    assert out.returncode == 2 and out.stderr.startswith('usage: ')


@pytest.mark.parametrize('script, arguments, expected', [
    ('slurm_train.sh', ['part', 'job', 'config.py', 'wd', '--amp'],
     'py -u tools/train.py config.py --work-dir wd --launcher slurm --amp'),
    ('slurm_test.sh', ['part', 'job', 'config.py', 'c.pth', '--out', 'o.pkl'],
     'py -u tools/test.py config.py c.pth --launcher slurm --out o.pkl'),
])
def test_slurm_command(tmp_path, script, arguments, expected):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\necho "$@"\n')
    srun.chmod(0o755)
    env = dict(os.environ, PATH=f'{tmp_path}:{os.environ["PATH"]}', GPUS='16', CPUS_PER_TASK='4', SRUN_ARGS='--qos=x --hint=y',
               PYTHON='py')
    out = subprocess.run(['bash', f'tools/{script}', *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    resources = ('--partition=part --job-name=job --gres=gpu:8 --ntasks=16 --ntasks-per-node=8 --cpus-per-task=4 '
                 '--kill-on-bad-exit=1 --qos=x --hint=y ')
    assert out.stdout.split() == (resources + expected).split()


@pytest.mark.parametrize('tool', sorted(str(p.relative_to(ROOT)) for p in (ROOT / 'tools').rglob('*.py')))
def test_help(tool):
    """Every tool says what it does without a data set, a GPU or an optional library."""
    out = subprocess.run([sys.executable, '-W', 'ignore', tool, '--help'], cwd=ROOT, capture_output=True, text=True,
                         env=dict(os.environ, PYTHONPATH=str(ROOT)))
    assert out.returncode == 0 and out.stdout.startswith('usage: '), out.stderr[-500:]
