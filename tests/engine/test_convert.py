"""Checkpoints from any form into any other, and what must not come out of it."""
import json

import pytest
import torch

from sapiens_mm.engine.atomic_file import atomic_path
from sapiens_mm.engine.checkpoint import bare_backbone, load_backbone, load_model, read_checkpoint
from sapiens_mm.engine.convert import convert
from sapiens_mm.engine.safe_load import torch_load
from sapiens_mm.pose.skeletons import get_skeleton
from tests.apis.support import Evil, build, raw_pretraining, write_pose
from tests.support import load_tool

tool = load_tool('model_converters/convert_checkpoint.py')


@pytest.fixture(scope='module')
def released(tmp_path_factory):
    return write_pose(tmp_path_factory.mktemp('released'), 17)


@pytest.mark.parametrize('chain', [('a.safetensors', 'b.pth'), ('a.pth', 'b.safetensors', 'c.pth')])
def test_models_survive_any_way(released, tmp_path, chain):
    source = str(released[1])
    for name in chain:
        convert(source, tmp_path / name, config=str(released[0]))
        source = str(tmp_path / name)
    model = build(released[0])
    expected = {n: v.clone() for n, v in model.state_dict().items()}
    for p in model.parameters():
        torch.nn.init.zeros_(p)
    load_model(model, source)
    assert all(torch.equal(v, expected[n]) for n, v in model.state_dict().items())


@pytest.mark.parametrize('target', ['x.pth', 'x.safetensors'])
@pytest.mark.parametrize('form', ['raw', 'fine-tuned', 'bare'])
def test_backbones_out_of_anything(released, tmp_path, form, target):
    whole = torch_load(str(released[1]))['state_dict']
    backbone = build(released[0]).backbone
    content = dict(raw=dict(state_dict=raw_pretraining(backbone)), bare=bare_backbone(whole))
    content = content.get(form, dict(state_dict=whole, meta={}))
    torch.save(content, tmp_path / 'source.pth')
    report = convert(str(tmp_path / 'source.pth'), tmp_path / target, what='backbone')
    assert not any(n.startswith(('backbone.', 'head.', 'neck.')) for n in report['written'])
    assert bool(report['left_out']) == (form != 'bare')
    if target == 'x.pth':
        assert 'state_dict' not in torch_load(str(tmp_path / target))
    load_backbone(backbone, str(tmp_path / target))


def test_training_state_is_dropped_and_numpy_meta_becomes_plain(released, tmp_path):
    content = torch_load(str(released[1]))
    torch.save(dict(content, optimizer=dict(state={}), message_hub={}, param_schedulers=[]), tmp_path / 'epoch_1.pth')
    report = convert(str(tmp_path / 'epoch_1.pth'), tmp_path / 'out.pth')
    assert set(report['entries_left_out']) == {'optimizer', 'message_hub', 'param_schedulers'}
    out = torch.load(tmp_path / 'out.pth', weights_only=True)
    assert set(out) == {'state_dict', 'meta'}
    sigmas = out['meta']['dataset_meta']['sigmas']
    assert type(sigmas) is list and sigmas == pytest.approx(get_skeleton(17).sigmas)


def test_averaged_and_raw(released, tmp_path):
    mean = torch_load(str(released[1]))['state_dict']
    raw = {f'module.{n}': v + 1 for n, v in mean.items()}
    torch.save(dict(state_dict=mean, ema_state_dict=dict(raw, steps=torch.tensor(1))), tmp_path / 'x.pth')
    for which, more in (('averaged', 0), ('raw', 1)):
        convert(str(tmp_path / 'x.pth'), tmp_path / f'{which}.pth', weights=which)
        assert torch.equal(read_checkpoint(tmp_path / f'{which}.pth').state_dict['backbone.ln1.weight'],
                           mean['backbone.ln1.weight'] + more)
    with pytest.raises(ValueError, match='one set of weights'):
        convert(str(tmp_path / 'averaged.pth'), tmp_path / 'no.pth', weights='raw')


def test_dtype_and_shared_storage(released, tmp_path):
    base = torch.randn(100, 32)
    state = dict(torch_load(str(released[1]))['state_dict'])
    state.update({'backbone.ln1.weight': base[0], 'backbone.ln1.bias': base[0], 'head.steps': torch.tensor(3)})
    torch.save(state, tmp_path / 'x.pth')
    convert(str(tmp_path / 'x.pth'), tmp_path / 'y.safetensors', dtype='bf16')
    state = read_checkpoint(tmp_path / 'y.safetensors').state_dict
    assert state['backbone.ln1.weight'].dtype == torch.bfloat16 and state['head.steps'].dtype == torch.int64


@pytest.mark.parametrize('change, says', [
    (lambda s: s.pop('backbone.layers.1.ln2.bias'), '1 missing: layers.1.ln2.bias'),
    (lambda s: s.update({'backbone.norm.weight': s.pop('backbone.ln1.weight')}), '1 missing: ln1.weight; 1 unexpected: norm.w'),
    (lambda s: s.update({'backbone.pos_embed': s['backbone.pos_embed'].mT.contiguous()}), 'of another shape: pos_embed'),
    (lambda s: s.pop('backbone.patch_embed.projection.weight'), 'lacks patch_embed.projection.weight'),
    (lambda s: s.update({n[9:]: s.pop(n) for n in list(s) if n.startswith('backbone.')}), "lack the prefix 'backbone.'"),
    (lambda s: s.update({f'encoder.{n}': s.pop(n) for n in list(s)}), 'no backbone of the family')])
def test_an_incomplete_backbone_needs_no_config_to_be_refused(released, tmp_path, change, says):
    state = dict(torch_load(str(released[1]))['state_dict'])
    change(state)
    torch.save(dict(state_dict=state), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match=says):
        convert(str(tmp_path / 'x.pth'), tmp_path / 'y.pth')
    assert not (tmp_path / 'y.pth').exists()


@pytest.mark.parametrize('kwargs, says', [
    (dict(what='head'), 'what is model or backbone'), (dict(dtype='int8'), 'dtype fp32'), (dict(target='x.bin'), '.safetensors')])
def test_wrong_arguments(released, tmp_path, kwargs, says):
    kwargs = dict(dict(target='x.pth'), **kwargs)
    with pytest.raises(ValueError, match=says):
        convert(str(released[1]), tmp_path / kwargs.pop('target'), **kwargs)


def test_a_config_that_does_not_belong_leaves_nothing_behind(released, tmp_path):
    other, _ = write_pose(tmp_path, 133)
    with pytest.raises(ValueError, match='17 keypoints'):
        convert(str(released[1]), tmp_path / 'out' / 'x.pth', config=str(other))
    assert not (tmp_path / 'out').exists()


def test_a_bare_backbone_is_no_model(released, tmp_path):
    torch.save(bare_backbone(torch_load(str(released[1]))['state_dict']), tmp_path / 'bare.pth')
    with pytest.raises(ValueError, match='what=backbone'):
        convert(str(tmp_path / 'bare.pth'), tmp_path / 'x.pth')


def test_tool(released, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['convert_checkpoint.py', str(released[1]), str(tmp_path / 'x.safetensors'),
                                     '--what', 'backbone', '--report', str(tmp_path / 'report.json')])
    tool.main()
    assert 'weights of' in capsys.readouterr().out
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['written']['pos_embed'] == [1, 24, 32] and 'head.final_layer.bias' in report['left_out']


def test_tool_trusts_only_when_told(released, tmp_path, monkeypatch):
    state = torch_load(str(released[1]))['state_dict']
    torch.save(dict(state_dict=state, meta=Evil(tmp_path / 'ran')), tmp_path / 'evil.pth')
    argv = ['convert_checkpoint.py', str(tmp_path / 'evil.pth'), str(tmp_path / 'x.pth')]
    monkeypatch.setattr('sys.argv', argv)
    with pytest.raises(ValueError, match='--trusted'):
        tool.main()
    assert not (tmp_path / 'ran').exists()
    monkeypatch.setattr('sys.argv', [*argv, '--trusted'])
    tool.main()
    assert (tmp_path / 'x.pth').is_file()


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    (tmp_path / 'x.txt').write_text('old')
    with pytest.raises(KeyboardInterrupt):
        with atomic_path(tmp_path / 'x.txt') as path:
            path.write_text('half')
            raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ['x.txt'] and (tmp_path / 'x.txt').read_text() == 'old'
