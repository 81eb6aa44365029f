"""Outputs of the reference implementation. The tool that users run does the work."""
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support import ROOT, load_tool

check_parity = load_tool('analysis_tools/check_parity.py')
check_state_shapes = load_tool('analysis_tools/check_state_shapes.py')
PARITY = ROOT.parent / 'shared' / 'parity'
TABLE = ROOT.parent / 'shared' / 'spec' / 'state_shapes_v1.json'
CASES = check_parity.read_cases(PARITY) if PARITY.is_dir() else {}
ENTRIES = [e for e in json.loads(TABLE.read_text()) if check_state_shapes.config_of(e)] if TABLE.is_file() else []


@pytest.mark.parametrize('name', [n for n in CASES if check_parity.find_runner(n)] or [
    pytest.param(None, marks=pytest.mark.skip(reason=f'no reference cases at {PARITY}'))])
def test_case(name):
    checks = check_parity.run_case(PARITY, name, CASES[name])
    assert checks and all(c.passed for c in checks), checks


@pytest.mark.parametrize('entry', ENTRIES or [
    pytest.param(None, marks=pytest.mark.skip(reason=f'no table of released weights at {TABLE}'))])
def test_state_shapes(entry):
    assert check_state_shapes.check_entry(entry, json.loads(TABLE.read_text())[entry]) is None


def _write_case(directory, monkeypatch, spoil):
    """A case of our own making: a backbone's output, exact or spoiled."""
    from sapiens_mm.backbones.sapiens_vit import SapiensViT
    arch = dict(embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=40)
    model = SapiensViT(arch, img_size=(32, 48), patch_padding=2)
    model.init_weights()
    x = torch.randn(1, 3, 32, 48)
    tensors = {f'weights.{k}': v.clone() for k, v in model.state_dict().items()}
    save_file(dict(tensors, input=x, output=model.eval()(x)[0].detach().contiguous() + spoil), directory / 'vit_own.safetensors')
    (directory / 'cases.json').write_text(json.dumps({
        'vit_own': dict(arch=arch, img_size=[32, 48], patch_padding=2), 'not_invented_yet': {}}))
    monkeypatch.setattr('sys.argv', ['check_parity.py', str(directory)])


def test_tool_passes_and_names_what_it_cannot_run(tmp_path, monkeypatch, capsys):
    _write_case(tmp_path, monkeypatch, spoil=0)
    assert check_parity.main() == 0
    assert 'cannot run yet: not_invented_yet' in capsys.readouterr().out


def test_tool_fails_past_tolerance(tmp_path, monkeypatch, capsys):
    _write_case(tmp_path, monkeypatch, spoil=1e-3)
    assert check_parity.main() == 1
    assert 'FAILED' in capsys.readouterr().out


def test_tool_fails_on_a_wrong_patch_padding(tmp_path, monkeypatch):
    _write_case(tmp_path, monkeypatch, spoil=0)
    cases = json.loads((tmp_path / 'cases.json').read_text())
    cases['vit_own']['patch_padding'] = 0
    (tmp_path / 'cases.json').write_text(json.dumps(cases))
    assert check_parity.main() == 1


def test_tool_fails_where_a_case_lacks_its_file(tmp_path, monkeypatch):
    _write_case(tmp_path, monkeypatch, spoil=0)
    (tmp_path / 'vit_own.safetensors').unlink()
    assert check_parity.main() == 1


def test_tool_needs_cases(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['check_parity.py', str(tmp_path)])
    assert check_parity.main() == 2
    assert 'cases.json not found' in capsys.readouterr().err


def test_not_a_number_never_passes():
    bad = torch.tensor([float('nan')])
    assert not check_parity.compare('x', bad, torch.ones(1)).passed
    assert not check_parity.compare('x', torch.ones(2), torch.ones(1)).passed


def test_reference_files_are_whole(shared_dir):
    for name, case in CASES.items():
        for tensor, shape in case.get('tensors', {}).items():
            assert list(load_file(shared_dir / 'parity' / f'{name}.safetensors')[tensor].shape) == shape
            break
