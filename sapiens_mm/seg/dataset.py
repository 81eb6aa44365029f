"""Data sets of body parts and face parts."""
from __future__ import annotations

from collections.abc import Sequence

from mmengine.fileio import list_from_file
from mmseg.datasets import BaseSegDataset

from sapiens_mm.dense.dataset import IMAGE_SUFFIXES, RefuseBroken, list_stems, match_files
from sapiens_mm.registry import DATASETS
from sapiens_mm.seg.classes import get_vocabulary


@DATASETS.register_module()
class PartsDataset(RefuseBroken, BaseSegDataset):
    """Pictures and index pictures of class ids, of one vocabulary.

    Args:
        vocabulary: Class names and colours: ``'parts28'``, ``'parts29'``, ``'lip20'``, ``'cihp20'`` or ``'face19'``. Files of
            another vocabulary are mapped where they are read, see :class:`sapiens_mm.seg.transforms.LoadParts`.
        data_prefix: ``img_path`` and ``seg_map_path``, folders; one folder for both where ``seg_map_suffix`` tells them apart.
        img_suffixes: Endings of the pictures.
        seg_map_suffix: Ending of the index pictures, which have the pictures' names otherwise.
        ann_file: Text file with one name per line, without suffix, where only those samples are meant.
        max_missing_share: Share of the pictures that may lack labels, 0 to 1; they are left out.
        **kwargs: Of mmseg's ``BaseSegDataset``.

    Raises:
        FileNotFoundError: A folder is not there.
        ValueError: No vocabulary of that name, no sample, too many pictures without labels, names that are not there.
    """

    def __init__(self, vocabulary: str = 'parts28', img_suffixes: Sequence[str] = IMAGE_SUFFIXES, seg_map_suffix: str = '.png',
                 max_missing_share: float = 0.1, metainfo: dict | None = None, **kwargs):
        words = get_vocabulary(vocabulary)
        self.img_suffixes, self.max_missing_share = tuple(img_suffixes), max_missing_share
        super().__init__(seg_map_suffix=seg_map_suffix,
                         metainfo=dict(classes=words.classes, palette=[list(c) for c in words.palette],
                                       **(metainfo or {})), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Paths of every sample, sorted by name."""
        labels = list_stems(self.data_prefix['seg_map_path'], [self.seg_map_suffix], what='label maps',
                            backend_args=self.backend_args)
        own = set(labels.values())
        images = {stem: path for stem, path in list_stems(self.data_prefix['img_path'], self.img_suffixes, what='images',
                                                          backend_args=self.backend_args).items() if path not in own}
        if self.ann_file:
            names = [line.strip() for line in list_from_file(self.ann_file, backend_args=self.backend_args) if line.strip()]
            unknown = [name for name in names if name not in images]
            if unknown:
                raise ValueError(f'{self.ann_file} names {len(unknown)} pictures that {self.data_prefix["img_path"]} does not '
                                 f'have, for example {unknown[0]}')
            images = {name: images[name] for name in names}
        samples = match_files({'images': images, 'label maps': labels}, self.max_missing_share)
        return [dict(img_path=sample['images'], seg_map_path=sample['label maps'], label_map=None,
                     reduce_zero_label=self.reduce_zero_label, seg_fields=[]) for sample in samples]
