"""Checkpoints as mmengine writes them load with torch's guard on; others are still refused."""
import io
import os
import pickle

import mmengine.runner.checkpoint  # noqa: F401 - the cure acts when this is imported
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

import sapiens_mm  # noqa: F401
from sapiens_mm.compat.safe_globals import SAFE_GLOBALS, _history_buffer_method


def guarded_load(obj):
    """Save with torch and load with the guard on."""
    file = io.BytesIO()
    torch.save(obj, file)
    file.seek(0)
    return torch.load(file, map_location='cpu', weights_only=True)


class Evil:

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def test_cure_is_active_and_guard_is_on_by_default():
    assert SAFE_GLOBALS.state == 'active'
    assert 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD' not in os.environ
    file = io.BytesIO()
    torch.save(Evil(print, 'not to be printed'), file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(file)


def test_log_buffers_come_back():
    buffer = HistoryBuffer([1., 2., 4.], [1, 1, 2])
    loaded = guarded_load(dict(message_hub=dict(log_scalars={'train/loss': buffer}), iter=3))
    again = loaded['message_hub']['log_scalars']['train/loss']
    assert again.data[0].tolist() == [1., 2., 4.] and again.data[1].tolist() == [1, 1, 2]
    assert again.statistics('mean') == buffer.statistics('mean')
    again.update(5.)
    assert again.current() == 5.


@pytest.mark.parametrize('value', [
    np.float32(0.25), np.float64(-2), np.int64(7), np.uint8(3), np.bool_(True), np.str_('nose'),
    np.arange(6, dtype=np.int16).reshape(2, 3), np.array(['left', 'right']), np.array([True, False]),
    np.zeros((0, 2), np.float16), np.array(1 + 2j), np.dtype('float32'),
], ids=lambda value: type(value).__name__ + '-' + str(getattr(value, 'dtype', value)))
def test_numpy_values_of_meta_information_come_back(value):
    again = guarded_load(dict(meta=dict(dataset_meta=dict(value=value))))['meta']['dataset_meta']['value']
    assert type(again) is type(value)
    assert np.array_equal(again, value) if not isinstance(value, np.dtype) else again == value
    assert getattr(again, 'dtype', None) == getattr(value, 'dtype', None)


def test_names_of_the_other_numpy_generation_load():
    """An array pickled by hand under both module names, as numpy 1 and numpy 2 write them."""
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        file = io.BytesIO()
        torch.save({'sigmas': np.float32([0.5, 1.5]), 'best': np.float64(0.75)}, file)
        data = swap_in_zip(file.getvalue(), module)
        again = torch.load(io.BytesIO(data), weights_only=True)
        assert again['sigmas'].tolist() == [0.5, 1.5] and again['best'] == 0.75


def swap_in_zip(data, module):
    """The archive with multiarray's module renamed in its pickle."""
    import zipfile
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, 'w') as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith('data.pkl'):
                content = content.replace(b'numpy._core.multiarray', b'numpy.core.multiarray')
                content = content.replace(b'numpy.core.multiarray', module.encode())
                assert module.encode() + b'\n_reconstruct' in content and module.encode() + b'\nscalar' in content
            new.writestr(name, content)
    return out.getvalue()


def test_config_dict_comes_back():
    meta = ConfigDict(classes=('person', ), colours=dict(person=[1, 2, 3]))
    again = guarded_load(dict(meta=meta))['meta']
    assert isinstance(again, ConfigDict) and again.to_dict() == meta.to_dict()


@pytest.mark.parametrize('evil', [
    Evil(os.system, 'true'),
    Evil(eval, '1'),
    Evil(getattr, torch.Tensor, 'numpy'),
    Evil(getattr, HistoryBuffer, '__init__'),
    Evil(getattr, HistoryBuffer, '_set_default_statistics'),
    Evil(getattr, HistoryBuffer, 'missing'),
    Evil(getattr, Evil(getattr, HistoryBuffer, 'mean'), '__globals__'),
], ids=['system', 'eval', 'getattr-tensor', 'getattr-dunder', 'getattr-private', 'getattr-missing', 'getattr-chain'])
def test_anything_else_is_refused(evil):
    with pytest.raises(pickle.UnpicklingError):
        guarded_load(dict(state_dict=evil))


def test_only_plain_methods_are_reached():
    assert _history_buffer_method(HistoryBuffer, 'mean') is HistoryBuffer.mean
    with pytest.raises(pickle.UnpicklingError, match='not a log statistic'):
        _history_buffer_method(torch, 'load')


def test_mmengine_loads_its_own_checkpoint(tmp_path):
    from mmengine.runner.checkpoint import load_checkpoint, save_checkpoint
    model = torch.nn.Linear(2, 1)
    path = str(tmp_path / 'epoch_1.pth')
    save_checkpoint(
        dict(state_dict=model.state_dict(), meta=dict(epoch=1, dataset_meta=dict(sigmas=np.ones(17, np.float32))),
             message_hub=dict(log_scalars=dict(loss=HistoryBuffer([1.], [1])))), path)
    other = torch.nn.Linear(2, 1)
    checkpoint = load_checkpoint(other, path)
    assert torch.equal(other.weight, model.weight)
    assert checkpoint['meta']['dataset_meta']['sigmas'].shape == (17, )
