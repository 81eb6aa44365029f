"""Data sets of files that belong together by name: picture, mask, map."""
from __future__ import annotations

import logging
import os.path as osp
from collections.abc import Mapping, Sequence

from mmengine import fileio
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from sapiens_mm.engine.bad_samples import is_cut_off

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png')
_ALL_NEEDED = 'an evaluation needs all its images: replace it or take it and its labels out'


def list_stems(folder: str, suffixes: Sequence[str], prefix: str = '', what: str = 'files',
               backend_args: dict | None = None) -> dict[str, str]:
    """Files of a folder and its subfolders by what they have in common with their partners.

    Args:
        folder: Where to look.
        suffixes: Endings of the names, in any case.
        prefix: Beginning of the names.
        what: What is looked for, for errors.
        backend_args: Of mmengine's ``fileio``.

    Returns:
        Subfolder and name without prefix and suffix -> path.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: Two files have the same name but for the suffix.
    """
    if not fileio.isdir(folder, backend_args):
        raise FileNotFoundError(f'there is no folder {folder} of {what} (working directory {osp.abspath(".")}); set data_root or '
                                'data_prefix of the data set')
    stems: dict[str, str] = {}
    for relative in sorted(fileio.list_dir_or_file(folder, list_dir=False, recursive=True, backend_args=backend_args)):
        head, name = osp.split(relative)
        suffix = next((s for s in sorted(suffixes, key=len, reverse=True) if name.lower().endswith(s)), None)
        if suffix is None or not name.startswith(prefix):
            continue
        stem = osp.join(head, name[len(prefix):len(name) - len(suffix)])
        path = fileio.join_path(folder, relative, backend_args=backend_args)
        if stem in stems:
            raise ValueError(f'{stems[stem]} and {path} are both {what} of one sample; leave one of them')
        stems[stem] = path
    return stems


def match_files(found: Mapping[str, Mapping[str, str]], max_missing_share: float) -> list[dict[str, str]]:
    """Samples that have every kind of file, sorted by name, the same in every process.

    Args:
        found: Kind of file, the first the picture -> stem -> path.
        max_missing_share: Share of the pictures that may lack a partner.

    Returns:
        For each sample: kind -> path.

    Raises:
        ValueError: No sample is complete, or too many pictures lack a partner.
    """
    pictures, *partners = found
    complete = sorted(set.intersection(*(set(stems) for stems in found.values())))
    total = len(found[pictures])
    counts = ', '.join(f'{len(stems)} {kind}' for kind, stems in found.items())
    if not complete:
        raise ValueError(f'there is no sample with all of {", ".join(found)}: {counts}, whose names have nothing in common')
    missing = total - len(complete)
    if missing:
        lonely = next(path for stem, path in sorted(found[pictures].items()) if stem not in set(complete))
        say = f'{missing} of {total} {pictures} have no {" or ".join(partners)} of their name, for example {lonely}'
        if missing > max_missing_share * total:
            raise ValueError(f'{say}; {max_missing_share:.0%} may be (max_missing_share of the data set)')
        print_log(f'{say}; they are left out', 'current', logging.WARNING)
    return [{kind: stems[stem] for kind, stems in found.items()} for stem in complete]


class RefuseBroken:
    """Mixin for data sets: in evaluation, where no sample may be left out, an image that is broken is one sentence.

    The test pipelines begin with mmcv's ``LoadImageFromFile``, which mmseg's inferencers look for by name, and which reads a file
    that ends early as a picture whose rest is grey.
    """

    def prepare_data(self, idx: int) -> dict | None:
        """As in mmengine; ``ValueError`` where ``test_mode`` meets an image that cannot be decoded or ends early."""
        if not self.test_mode:
            return super().prepare_data(idx)
        path = self.get_data_info(idx)['img_path']
        content = fileio.get(path, backend_args=self.backend_args)
        if not content or is_cut_off(content):
            fault = 'is cut off: the file ends before its picture does' if content else 'is an empty file'
            raise ValueError(f'{path} {fault}; {_ALL_NEEDED}')
        del content
        try:
            return super().prepare_data(idx)
        except AssertionError as e:
            if 'failed to load image' not in str(e):
                raise
            raise ValueError(f'{path} cannot be decoded as an image; {_ALL_NEEDED}') from e


class MapDataset(RefuseBroken, BaseDataset):
    """Base of data sets of pictures, masks and one map each.

    Args:
        data_root: Folder that ``data_prefix`` lies in.
        data_prefix: ``img_path``, ``mask_path`` and ``depth_path`` or ``normal_path`` -> folder. Files of one sample have
            one name, but for prefix and suffix; subfolders have to agree.
        img_suffixes: Endings of the pictures.
        mask_suffixes: Endings of the masks.
        map_suffixes: Endings of the maps.
        name_prefix: ``img_path`` and so on -> how the names begin, where all files share a folder.
        max_missing_share: Share of the pictures that may lack mask or map, 0 to 1; they are left out.
        backend_args: Of mmengine's ``fileio``.
        **kwargs: Of mmengine's ``BaseDataset``: ``pipeline``, ``test_mode``, ``indices`` and so on.

    Raises:
        FileNotFoundError: A folder is not there.
        ValueError: No sample is complete, or too many are not.
    """

    map_key: str
    folders: dict[str, str]

    def __init__(self, data_root: str = '', data_prefix: dict | None = None, img_suffixes: Sequence[str] = IMAGE_SUFFIXES,
                 mask_suffixes: Sequence[str] = IMAGE_SUFFIXES, map_suffixes: Sequence[str] = ('.npy', '.npz'),
                 name_prefix: dict | None = None, max_missing_share: float = 0.1, backend_args: dict | None = None, **kwargs):
        keys = ('img_path', 'mask_path', self.map_key)
        folders = self.folders if data_prefix is None else data_prefix
        if set(folders) != set(keys):
            raise ValueError(f'data_prefix of {type(self).__name__} names {", ".join(keys)}; got {", ".join(folders)}')
        self.suffixes = dict(zip(keys, (img_suffixes, mask_suffixes, map_suffixes)))
        self.name_prefix = name_prefix or {}
        self.max_missing_share = max_missing_share
        self.backend_args = backend_args
        super().__init__(data_root=data_root, data_prefix=dict(folders), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Paths of every sample, sorted by name."""
        what = {'img_path': 'images', 'mask_path': 'masks', self.map_key: f'{self.map_key[:-5]} maps'}
        found = {what[key]: list_stems(self.data_prefix[key], self.suffixes[key], self.name_prefix.get(key, ''), what[key],
                                       self.backend_args) for key in what}
        keys = {kind: key for key, kind in what.items()}
        return [dict({keys[kind]: path for kind, path in sample.items()}, seg_fields=[])
                for sample in match_files(found, self.max_missing_share)]
