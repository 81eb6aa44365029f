"""Where checkpoints come from: a path, a URL, or a repository of the Hugging Face hub; all become a file on this machine."""
from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote, urlparse
from urllib.request import Request, urlopen

from mmengine.dist import barrier, get_local_rank, is_distributed

from sapiens_mm.engine.atomic_file import atomic_path

HF_PREFIX = 'hf://'
_HF = re.compile(r'hf://(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[^@]+?)(@(?P<revision>[^@]+))?$')
_HASH = re.compile(r'-(?=[0-9]*[a-f])([0-9a-f]{8,64})\.')  # as torch.hub and OpenMMLab name files; eight digits may be a date
_CHUNK, _TIMEOUT = 1 << 20, 60  # bytes; seconds without a byte


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


# What the hub's library raises, by name: the library is optional, and its versions have moved these types.
_LOGIN = 'log in (huggingface-cli login, or the variable HF_TOKEN)'
_HF_REASONS = dict(
    GatedRepoError=f'the repository is gated: accept its terms on its page, then {_LOGIN}',
    RepositoryNotFoundError=f'there is no such repository, or it is private: check the name, and {_LOGIN} if it is yours',
    RevisionNotFoundError='the repository has no such revision: a branch, a tag or a commit follows the @',
    OfflineModeIsEnabled='HF_HUB_OFFLINE is set and the file is not in the cache',
    LocalEntryNotFoundError='the hub cannot be reached and the file is not in the cache',
    EntryNotFoundError='the repository has no such file')


def _from_hf(source: str) -> str:
    repo, file, revision = parse_hf(source)
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise ValueError(f'{source} needs the library of the Hugging Face hub: pip install huggingface_hub') from error
    try:
        return hf_hub_download(repo, file, revision=revision)
    except Exception as error:  # network, missing file, missing access: the library has a type for each
        kinds = [kind.__name__ for kind in type(error).__mro__]
        if os.environ.get('HF_HUB_OFFLINE', '').upper() in ('1', 'ON', 'YES', 'TRUE'):
            kinds = ['OfflineModeIsEnabled']
        why = next((_HF_REASONS[kind] for kind in kinds if kind in _HF_REASONS), ' '.join(str(error).split())[:300])
        raise FileNotFoundError(f'{source} cannot be had: {why}') from error


def url_cache(url: str) -> Path:
    """Where a downloaded checkpoint lies: below the folder of mmengine and ``torch.hub``, by host and path.

    Not by its name alone as there, because many files are called ``epoch_10.pth``.
    """
    import torch
    parts = urlparse(url)
    place = [re.sub(r'[^\w.-]', '_', part) for part in (parts.netloc, *unquote(parts.path).split('/')) if part.strip('.')]
    if parts.query and not parts.query.startswith('download='):
        place.insert(-1, hashlib.sha256(parts.query.encode()).hexdigest()[:8])
    return Path(torch.hub.get_dir(), 'checkpoints', *place)


def _from_url(url: str) -> str:
    target = url_cache(url)
    if target.is_file():
        return str(target)
    wanted = _HASH.search(target.name)
    try:
        with urlopen(Request(url, headers={'User-Agent': 'sapiens_mm'}), timeout=_TIMEOUT) as answer, \
                atomic_path(target) as path:
            size, digest = answer.headers.get('Content-Length'), hashlib.sha256()
            with open(path, 'wb') as file:
                while chunk := answer.read(_CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
            got = path.stat().st_size
            if size is not None and got != int(size):
                raise OSError(f'the connection ended after {got} of {size} bytes; try again')
            if wanted and not digest.hexdigest().startswith(wanted[1]):
                raise OSError(f'its content has the hash {digest.hexdigest()[:len(wanted[1])]}, not the {wanted[1]} of its name')
            other = foreign_content(path)
            if other:
                raise OSError(f'what comes from there {other}')
    except HTTPError as error:
        cure = {401: '; it needs a login: download it by hand and give its path', 404: '; there is no such file'}
        cure[403] = cure[401]
        raise FileNotFoundError(f'{url} cannot be downloaded: the server answers {error.code} {error.reason}'
                                f'{cure.get(error.code, "")}') from error
    except (OSError, HTTPException, ValueError) as error:
        raise FileNotFoundError(f'{url} cannot be downloaded: {error}') from error
    return str(target)


def foreign_content(path: str | os.PathLike) -> str | None:
    """What a file is that is named like a checkpoint and is none, as the end of a sentence, with the cure; None if all is well.

    It looks at the first bytes only, so that None is no promise.
    """
    path = Path(path)
    with open(path, 'rb') as file:
        head = file.read(512)
    if not head:
        return 'is empty: the download or the copy failed; get it again'
    if head[8:9] == b'{' and int.from_bytes(head[:8], 'little') < path.stat().st_size:  # the length of a header, and the header
        return 'is a safetensors file: call it .safetensors' if path.suffix in ('.pth', '.pt', '.ckpt', '.bin') else None
    text = head.lstrip(b'\xef\xbb\xbf \t\r\n').lower()
    if text.startswith(b'version https://git-lfs'):
        return 'is a pointer of Git LFS, not the file itself: run `git lfs pull` in its repository, or download the file'
    if text.startswith((b'<!doctype', b'<html', b'<head', b'<?xml')):
        return ('is a web page, such as one to log in, and no checkpoint: download the file itself (on the Hugging Face hub the '
                'address has /resolve/ where the page has /blob/)')
    if text.startswith((b'{', b'[')):
        return f'is no checkpoint but text: {" ".join(head[:120].decode(errors="replace").split())}'
    if head.startswith((b'\x1f\x8b', b'7z\xbc\xaf', b'Rar!', b'\xfd7zXZ', b'\x28\xb5\x2f\xfd')):
        return 'is a compressed archive: unpack it, and give the checkpoint inside'
    if path.suffix == '.safetensors' and head.startswith((b'PK\3\4', b'\x80\2', b'\x80\3', b'\x80\4', b'\x80\5')):
        return 'is no safetensors file but one of torch.save or pickle: call it .pth'
    if head.startswith(b'PK\3\4') and path.suffix != '.onnx':
        return _foreign_archive(path)
    return None


def _foreign_archive(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return None  # cut short; its reader says so
    if any(name.endswith('/constants.pkl') for name in names) and any('/code/' in name for name in names):
        return ('is a TorchScript export, a frozen program without named weights for a config; use the .pth file of the same '
                'model')
    if any(name.endswith(('data.pkl', '/archive_format', '/version')) for name in names):
        return None
    return f'is an archive with {", ".join(names[:3]) or "nothing in it"}, not a file of torch.save: unpack it'


def fetch(source: str | os.PathLike) -> str:
    """The path of a checkpoint on this machine, downloaded into a cache where it has to be.

    Args:
        source: A path, ``http(s)://...`` (cached beside what mmengine downloads), or ``hf://owner/repo/file[@revision]``
            (the hub's own cache; ``HF_HUB_OFFLINE=1`` never asks the network).

    Raises:
        FileNotFoundError: There is no such file, or it cannot be had.
        ValueError: A malformed ``hf://`` address, or its library is missing; the file is something else, see
            :func:`foreign_content`.
    """
    source = os.fspath(source)
    if source.startswith(HF_PREFIX):
        path = _once_per_machine(lambda: _from_hf(source))
    elif source.startswith(('http://', 'https://')):
        path = _once_per_machine(lambda: _from_url(source))
    else:
        path = os.path.expanduser(source)
    if os.path.isdir(path):
        inside = sorted(p.name for p in Path(path).iterdir() if p.suffix in ('.pth', '.pt', '.safetensors'))
        raise FileNotFoundError(f'{source} is a folder; give a checkpoint in it' + (f', such as {inside[-1]}' if inside else ''))
    if not os.path.isfile(path):
        raise FileNotFoundError(f'no checkpoint at {source}; give the path of a .pth or .safetensors file, a URL, or '
                                'hf://owner/repo/file')
    other = foreign_content(path)
    if other:
        raise ValueError(f'{source} {other}')
    return path
