"""Every released checkpoint: which config it belongs to, and what its weights do not tell.

Names, sizes and tasks are those of the release's documentation (Khirodkar et al., ECCV 2024). Two models of one size and task have
the same weights' names and shapes whatever their patch padding, so a card, not the file, says which it needs.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

LICENSE = ('CC-BY-NC-4.0 (the licence of the release: non-commercial use, with attribution); read the licence beside the file '
           'before you use it')
_ARCHS = dict(zip(('sapiens_0.3b', 'sapiens_0.6b', 'sapiens_1b', 'sapiens_2b'), ('0.3b', '0.6b', '1b', '2b')))
_NAMED = 'named in the documentation of the release'


@dataclass(frozen=True)
class ModelCard:
    """One released model.

    Attributes:
        name: Our name of it, such as ``sapiens-1b-pose-308``.
        task: ``'pretrain'``, ``'pose'``, ``'parts'``, ``'depth'`` or ``'normal'``.
        size: ``'0.3b'``, ``'0.6b'``, ``'1b'`` or ``'2b'``.
        outputs: Keypoints of pose, classes of parts, channels of depth (1) and normals (3); 0 for pre-training.
        patch_padding: Zero padding of the patch convolution, in pixels.
        config: Config that builds it, below ``configs/``.
        files: File names that the release has given it; the first is the current one.
        repo: Repository of the Hugging Face hub that should have ``folder`` / ``files[0]``.
        folder: Folder inside it, '' for the top.
        provenance: How far the file names and the repository are known; nothing here was downloaded and compared.
        licence: Licence note.
    """

    name: str
    task: str
    size: str
    outputs: int
    patch_padding: int
    config: str
    files: tuple[str, ...]
    repo: str
    folder: str = ''
    provenance: str = _NAMED
    licence: str = LICENSE

    @property
    def source(self) -> str:
        """Address that :func:`sapiens_mm.engine.hub.fetch` takes."""
        return f'hf://{PurePosixPath(self.repo, self.folder, self.files[0])}'

    def facts(self) -> dict:
        """What a config of this model must agree with; see :func:`config_facts`."""
        return dict(task=self.task, size=self.size, outputs=self.outputs, patch_padding=self.patch_padding)


def _cards() -> list[ModelCard]:
    cards = []
    for size, epoch in dict(zip(_ARCHS.values(), (1600, 1600, 173, 660))).items():
        cards.append(ModelCard(
            f'sapiens-{size}-pretrain', 'pretrain', size, 0, 0, f'pretrain/mae_sapiens-{size}_8xb512-coslr-1600e_humans-1024px.py',
            (f'sapiens_{size}_epoch_{epoch}_clean.pth', f'sapiens_{size}_epoch_{epoch}.pth'), f'facebook/sapiens-pretrain-{size}'))

    # Poses of 17 and 133 keypoints lie in one repository of another owner, in the folders of the release.
    for points, config, aps in ((17, 'coco', (796, 812, 821, 822)), (133, 'coco-wholebody', (620, 695, 727, 745))):
        data = config.replace('-', '_')
        for size, ap in zip(_ARCHS.values(), aps):
            cards.append(ModelCard(
                f'sapiens-{size}-pose-{points}', 'pose', size, points, 2,
                f'pose/td-hm_sapiens-{size}_8xb64-210e_{config}-1024x768.py',
                (f'sapiens_{size}_{data}_best_{data}_AP_{ap}.pth', ), 'noahcao/sapiens-pose-coco',
                f'sapiens_host/pose/checkpoints/sapiens_{size}'))
    # The release's figures in these names changed by up to one point between its pages.
    for size, aps in (('0.3b', (573, 575)), ('0.6b', (609, 600)), ('1b', (639, 640))):
        cards.append(ModelCard(
            f'sapiens-{size}-pose-308', 'pose', size, 308, 2, f'pose/td-hm_sapiens-{size}_8xb64-210e_keypoints308-1024x768.py',
            tuple(f'sapiens_{size}_goliath_best_goliath_AP_{ap}.pth' for ap in aps), f'facebook/sapiens-pose-{size}',
            provenance=_NAMED if size == '1b' else f'{_NAMED}, which gives two figures; the current one is not certain'))

    for size, miou, epoch in (('0.3b', 7673, 194), ('0.6b', 7777, 178), ('1b', 7994, 151)):
        cards.append(ModelCard(
            f'sapiens-{size}-parts-28', 'parts', size, 28, 0, f'seg/sapiens-{size}_8xb2-200e_parts28-1024x768.py',
            (f'sapiens_{size}_goliath_best_goliath_mIoU_{miou}_epoch_{epoch}.pth', ), f'facebook/sapiens-seg-{size}'))
    cards.append(ModelCard(
        'sapiens-1b-face-19', 'parts', '1b', 19, 0, 'seg/sapiens-1b_8xb2-200e_face-1024x768.py',
        ('sapiens_1b_seg_face_epoch_200.pth', ), 'facebook/sapiens-seg-face-1b',
        provenance=f'the file is {_NAMED}; the repository is not known for certain'))

    for task, config, epochs in (('depth', 'depth/sapiens-{}_8xb2-200e_render-people-1024x768.py', (100, 70, 88, 25)),
                                 ('normal', 'normal/sapiens-{}_8xb2-200e_render-people-1024x768.py', (66, 200, 115, 70))):
        infix = 'normal_' if task == 'normal' else ''
        for size, epoch in zip(_ARCHS.values(), epochs):
            cards.append(ModelCard(
                f'sapiens-{size}-{task}', task, size, *dict(depth=(1, 0), normal=(3, 2))[task], config.format(size),
                (f'sapiens_{size}_{infix}render_people_epoch_{epoch}.pth', ), f'facebook/sapiens-{task}-{size}'))
    return cards


MODEL_CARDS: dict[str, ModelCard] = {card.name: card for card in _cards()}


def find_card(source: str) -> ModelCard | None:
    """The card of a released file, by our name of the model or by the file's name; None for another file.

    A converted file counts as long as its name still starts with the released one.
    """
    if source in MODEL_CARDS:
        return MODEL_CARDS[source]
    file = PurePosixPath(str(source).replace('\\', '/')).name.split('@')[0].split('?')[0]
    stems = {name[:-4]: card for card in MODEL_CARDS.values() for name in card.files}
    fitting = [stem for stem in stems if file == stem or file.startswith((f'{stem}.', f'{stem}_', f'{stem}-'))]
    return stems[max(fitting, key=len)] if fitting else None


def config_facts(cfg: Mapping) -> dict:
    """Task, size, outputs and patch padding of the model of a config; None for what it does not tell.

    Args:
        cfg: A config with ``model``, or the model's part of one.
    """
    model = cfg.get('model', cfg)
    backbone, head, dense = (model.get(key) or {} for key in ('backbone', 'head', 'decode_head'))
    arch = backbone.get('arch')
    size = _ARCHS.get(arch, 'another') if isinstance(arch, str) else 'another' if arch else None
    task = outputs = None
    if dense:
        outputs = dense.get('num_classes')
        kind = f'{model.get("type")} {dense.get("type")}'.lower()
        task = 'normal' if 'normal' in kind else 'depth' if 'depth' in kind else 'parts'
        outputs = dict(depth=1, normal=3).get(task, outputs)
    elif 'out_channels' in head:
        task, outputs = 'pose', head['out_channels']
    elif model.get('neck'):
        task, outputs = 'pretrain', 0
    return dict(task=task, size=size, outputs=outputs, patch_padding=backbone.get('patch_padding'))


_SAID = dict(task='is for {}', size='is of size {}', outputs='has {} outputs', patch_padding='has patch_padding {}')


def check_belongs(cfg: Mapping, source: str, config_name: str = 'the config') -> ModelCard | None:
    """Refuse a config and a released checkpoint that do not belong together, by the file's name.

    Args:
        cfg: The config.
        source: Path or address of the checkpoint.
        config_name: What the message calls the config.

    Returns:
        The checkpoint's card; None where its name is none of the release's, and only its weights can tell.

    Raises:
        ValueError: They differ in task, size, outputs or patch padding.
    """
    card = find_card(source)
    if card is None:
        return None
    own, facts = config_facts(cfg), card.facts()
    if card.task == 'pretrain':  # its backbone alone may be taken for anything of its size
        facts = {key: facts[key] for key in ('task', 'size')}
    wrong = [f'{_SAID[key].format(facts[key])}, the config {_SAID[key].format(own[key])}' for key in facts
             if own[key] is not None and own[key] != facts[key]]
    if wrong:
        raise ValueError(f'{source} is the released model {card.name} and does not belong to {config_name}: the checkpoint '
                         f'{"; it ".join(wrong)}. Its config is configs/{card.config}')
    return card
