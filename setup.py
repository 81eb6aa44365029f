"""Packaging. mmpose and mmcv are not declared on purpose: requirements/mmpose.txt and mmcv-lite.txt say why."""
import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def requirements(name):
    """Lines of requirements/NAME.txt without comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line for line in (line.split('#')[0].strip() for line in lines) if line]


def read(name):
    """Text of a file beside this one, empty where it is missing."""
    path = ROOT / name
    return path.read_text() if path.is_file() else ''


setup(
    name='sapiens_mm',
    version=re.search(r"__version__ = '(.+)'", read('sapiens_mm/version.py')).group(1),
    description='Sapiens human-vision models for stock OpenMMLab: pose, parts, depth, normals and pre-training',
    long_description=read('README.md'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.9,<3.13',
    packages=find_packages(include=['sapiens_mm', 'sapiens_mm.*']),
    # .mim links to configs, tools and the model index of the repository, where OpenMMLab's tools look for them
    package_data={'sapiens_mm': ['.mim/**/*', '.mim/*', '**/*.json', '**/*.yml']},
    install_requires=requirements('runtime'),
    extras_require={
        'tests': requirements('tests'),
        'pretrain': requirements('pretrain'),  # quality sidecars as Parquet
        'hub': ['huggingface_hub'],  # checkpoints from hf://owner/repo/file
        'track': ['lap'],  # people numbered through a video, smoothed keypoints
        'onnx': ['onnx', 'onnxscript', 'onnxruntime'],  # tools/deployment/export.py to .onnx, and running those files
    },
    zip_safe=False,
    classifiers=[
        'Intended Audience :: Developers',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3.9',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
)
