"""``.safetensors`` files and ``hf://`` addresses wherever mmengine takes a checkpoint: load_from, resume, inferencers."""
from __future__ import annotations

from types import ModuleType

from .cure import Cure

# Regular expressions, which mmengine matches against the start of the source. The first also wins over its plain https://.
_SCHEMES = (r'https?://\S+\.safetensors', r'hf://', r'.*\.safetensors$')


def load(source: str, map_location=None) -> dict:
    """mmengine's loader for these sources; imports nothing before it is used."""
    from sapiens_mm.engine.checkpoint import load_for_mmengine
    return load_for_mmengine(source, map_location)


def _install(cure: Cure) -> None:

    def register(checkpoint: ModuleType) -> None:
        known = checkpoint.CheckpointLoader._schemes
        for scheme in _SCHEMES:
            if scheme not in known:
                checkpoint.CheckpointLoader.register_scheme(prefixes=scheme, loader=load)
        cure.activated('mmengine knows files of torch.save only')

    cure.after_import('mmengine.runner.checkpoint', register)


CHECKPOINT_SOURCES = Cure(
    name='checkpoint-sources',
    library='mmengine',
    affected='0.x: loads neither safetensors nor from the Hugging Face hub',
    until='mmengine loads them itself',
    effect='.safetensors files and hf://owner/repo/file work as load_from, as weights and on the command line.',
    install=_install,
)
