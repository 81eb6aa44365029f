"""What a broken installation says."""
import subprocess
import sys
import textwrap

import pytest

from sapiens_mm.compat import advice


@pytest.mark.parametrize('package, text, sentence', [
    ('xtcocotools/mask', 'ValueError("numpy.dtype size changed, may indicate binary incompatibility")',
     "xtcocotools was built for another numpy than the one installed: pip install 'numpy>=1.26,<2'"),
    ('torchvision/__init__', 'RuntimeError("operator torchvision::nms does not exist")',
     'torchvision does not fit the installed torch'),
    ('cv2/__init__', 'ImportError("libGL.so.1: cannot open shared object file")', 'opencv-python-headless'),
])
def test_last_line_says_what_to_install(tmp_path, package, text, sentence):
    path = tmp_path / f'{package}.py'
    path.parent.mkdir()
    (path.parent / '__init__.py').write_text('')
    path.write_text(f'raise {text}\n')
    module = package.replace('/__init__', '').replace('/', '.')
    done = subprocess.run(
        [sys.executable, '-c', f'import sys; sys.path.insert(0, {str(tmp_path)!r}); import sapiens_mm, {module}'],
        capture_output=True, text=True)
    last = done.stderr.strip().split('\n')[-1]
    assert done.returncode != 0 and sentence in last and text.split('"')[1] in last


def test_missing_pkg_resources():
    """The call of mmengine gets the sentence; another package that probes for it sees a plain absence."""
    done = subprocess.run([sys.executable, '-c', textwrap.dedent("""
        import sys
        import sapiens_mm

        class Without:  # a finder that does not know pkg_resources, as with setuptools 82
            def __init__(self, finder):
                self.finder = finder
            def find_spec(self, name, path=None, target=None):
                return None if name == 'pkg_resources' else self.finder.find_spec(name, path, target)

        sys.modules.pop('pkg_resources', None)
        sys.meta_path[:] = [finder if type(finder).__name__ == '_NoPkgResources' else Without(finder)
                            for finder in sys.meta_path]
        try:
            import pkg_resources
        except ModuleNotFoundError as error:
            print('probe:', error)
        from mmengine.utils import is_installed
        try:
            is_installed('mmpose')
        except ModuleNotFoundError as error:
            print('mmengine:', error)
        """)], capture_output=True, text=True)
    lines = done.stdout.strip().split('\n')
    assert lines[0] == "probe: No module named 'pkg_resources'", done.stderr
    assert lines[1] == f'mmengine: {advice._PKG_RESOURCES}'
