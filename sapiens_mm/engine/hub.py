"""Where checkpoints come from: a path, a URL, or a repository of the Hugging Face hub; all become a file on this machine."""
from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlparse

from mmengine.dist import barrier, get_local_rank, is_distributed

HF_PREFIX = 'hf://'
_HF = re.compile(r'hf://(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[^@]+?)(@(?P<revision>[^@]+))?$')


def parse_hf(source: str) -> tuple[str, str, str | None]:
    """``hf://owner/repo/file[@revision]`` to (``owner/repo``, file, revision or None); ``ValueError`` for another form.

    ``file`` may lie in folders. A revision is a branch, a tag or a commit; only a commit always means the same file.
    """
    found = _HF.match(source)
    if not found:
        raise ValueError(f'{source} is not of the form hf://owner/repo/file[@revision]')
    return found['repo'], found['file'], found['revision']


def _once_per_machine(download: Callable[[], str]) -> str:
    """Download in one process of each machine; the others then find the file in the cache."""
    if not is_distributed():
        return download()
    if get_local_rank() == 0:
        download()
    barrier()
    return download()


def _from_hf(source: str) -> str:
    repo, file, revision = parse_hf(source)
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise ValueError(f'{source} needs the library of the Hugging Face hub: pip install huggingface_hub') from error
    try:
        return hf_hub_download(repo, file, revision=revision)
    except Exception as error:  # network, missing file, missing access: the library has a type for each
        offline = os.environ.get('HF_HUB_OFFLINE', '').upper() in ('1', 'ON', 'YES', 'TRUE')
        why = 'HF_HUB_OFFLINE is set and the file is not in the cache' if offline else ' '.join(str(error).split())
        raise FileNotFoundError(f'{source} cannot be had: {why}') from error


def url_cache(url: str) -> Path:
    """Where a downloaded checkpoint lies: the cache that mmengine and ``torch.hub`` use."""
    import torch
    return Path(torch.hub.get_dir()) / 'checkpoints' / Path(unquote(urlparse(url).path)).name


def _from_url(url: str) -> str:
    import torch
    target = url_cache(url)
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(target), progress=os.isatty(2))  # to a temporary name first
        except OSError as error:
            raise FileNotFoundError(f'{url} cannot be downloaded: {error}') from error
    return str(target)


def fetch(source: str | os.PathLike) -> str:
    """The path of a checkpoint on this machine, downloaded into a cache where it has to be.

    Args:
        source: A path, ``http(s)://...`` (cached where mmengine caches its downloads), or ``hf://owner/repo/file[@revision]``
            (the hub's own cache; ``HF_HUB_OFFLINE=1`` never asks the network).

    Raises:
        FileNotFoundError: There is no such file, or it cannot be had.
        ValueError: A malformed ``hf://`` address, or its library is missing.
    """
    source = os.fspath(source)
    if source.startswith(HF_PREFIX):
        return _once_per_machine(lambda: _from_hf(source))
    if source.startswith(('http://', 'https://')):
        return _once_per_machine(lambda: _from_url(source))
    path = os.path.expanduser(source)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'no checkpoint at {source}; give the path of a .pth or .safetensors file, a URL, or '
                                'hf://owner/repo/file')
    return path
