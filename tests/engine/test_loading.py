"""Released files in every form, right and subtly wrong, from every kind of source."""
import http.server
import sys
import threading
import types

import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.runner import CheckpointLoader
from safetensors.torch import save_file

from sapiens_mm.engine.checkpoint import bare_backbone, hand_to_mmengine, load_backbone, load_model, read_checkpoint, unwrapped
from sapiens_mm.engine.hub import fetch, parse_hf
from sapiens_mm.engine.safe_load import restricted_pickle, torch_load
from tests.apis.support import Evil, build, raw_pretraining, write_pose


@pytest.fixture(scope='module')
def released(tmp_path_factory):
    """Config and fine-tuned checkpoint of 308 keypoints."""
    return write_pose(tmp_path_factory.mktemp('released'), 308)


def blank(config):
    model = build(config)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    return model


def same(model, state):
    own = model.state_dict()
    return set(own) == set(state) and all(torch.equal(own[n], state[n]) for n in own)


@pytest.mark.parametrize('form', ['as released', 'module.', 'model.', 'model.module.', 'module._orig_mod.', 'safetensors',
                                  'bare dict', 'mean and std', 'under model'])
def test_fine_tuned_forms(released, tmp_path, form):
    config, path = released
    state = torch_load(str(path))['state_dict']
    source = tmp_path / ('x.safetensors' if form == 'safetensors' else 'x.pth')
    if form == 'safetensors':
        save_file(state, str(source))
    elif form.endswith('.'):
        torch.save(dict(state_dict={form + n: v for n, v in state.items()}, meta={}), source)
    elif form == 'mean and std':
        torch.save(dict(state_dict={**state, 'data_preprocessor.mean': torch.zeros(3, 1, 1)}, meta={}), source)
    else:
        torch.save({'bare dict': state, 'under model': dict(model=state, epoch=3)}.get(form) or torch_load(str(path)), source)
    model = blank(config)
    report = load_model(model, str(source))
    assert same(model, state)
    assert report.matched == report.total == len(state) and 'pose with 308 keypoints' in str(report)
    assert report.left_out == (('data_preprocessor.mean', ) if form == 'mean and std' else ())


def test_compiled_blocks_are_unwrapped():
    assert unwrapped({'backbone.layers.0._orig_mod.ln1.weight': 1, 'steps': 2}) == {'backbone.layers.0.ln1.weight': 1}


@pytest.mark.parametrize('wrong, says', [
    ('17 points', '17 keypoints.*308 keypoints'), ('batch norm', 'BatchNorm'), ('no head', '8 missing: head'),
    ('half prefixed', 'unexpected'), ('backbone only', 'backbone only.*unexpected'),
    ('one weight lost', '1 missing: backbone.ln1.bias'), ('transposed', 'of another shape')])
def test_subtly_wrong_is_refused(released, tmp_path, wrong, says):
    config, path = released
    state = dict(torch_load(str(path))['state_dict'])
    if wrong == '17 points':
        state.update({'head.final_layer.weight': torch.zeros(17, 16, 1, 1), 'head.final_layer.bias': torch.zeros(17)})
    elif wrong == 'batch norm':
        state.update({f'head.deconv_layers.1.{n}': torch.ones(16) for n in ('weight', 'bias', 'running_mean', 'running_var')})
    elif wrong == 'no head':
        state = {n: v for n, v in state.items() if not n.startswith('head.')}
    elif wrong == 'half prefixed':
        state = {(f'module.{n}' if n.startswith('head') else n): v for n, v in state.items()}
    elif wrong == 'backbone only':
        state = bare_backbone(state)
    elif wrong == 'one weight lost':
        del state['backbone.ln1.bias']
    else:
        state['backbone.layers.0.attn.qkv.weight'] = state['backbone.layers.0.attn.qkv.weight'].T.contiguous()
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'x.pth')
    model = blank(config)
    with pytest.raises(ValueError, match=says):
        load_model(model, str(tmp_path / 'x.pth'))
    assert not any(p.any() for p in model.parameters())


@pytest.mark.parametrize('form', ['bare', 'raw', 'fine-tuned', 'wrapped'])
def test_backbones(released, tmp_path, form):
    config, path = released
    whole = torch_load(str(path))['state_dict']
    state = {n[9:]: v for n, v in whole.items() if n.startswith('backbone.')}
    content = {'bare': state, 'fine-tuned': dict(state_dict=whole, meta={}),
               'raw': dict(state_dict=raw_pretraining(build(config).backbone)),
               'wrapped': dict(state_dict={f'module.{n}': v for n, v in whole.items()})}[form]
    torch.save(content, tmp_path / 'x.pth')
    backbone = blank(config).backbone
    report = load_backbone(backbone, str(tmp_path / 'x.pth'))
    assert report.matched == report.total == len(state)
    own = backbone.state_dict()
    assert all(torch.equal(own[n], state[n]) for n in own if n != 'pos_embed')
    assert own['pos_embed'].abs().sum() > 0 and torch.equal(own['pos_embed'], state['pos_embed']) == (form != 'raw')
    assert ('cls_token' in report.left_out) == (form == 'raw')
    assert any(n.startswith('head.') for n in report.left_out) == (form in ('fine-tuned', 'wrapped'))


def test_code_runs_only_when_trusted(tmp_path):
    marker = tmp_path / 'ran'
    torch.save(dict(state_dict={'w': torch.ones(1)}, meta=Evil(marker)), tmp_path / 'evil.pth')
    with pytest.raises(ValueError, match='io.open.*trusted'):
        read_checkpoint(tmp_path / 'evil.pth')
    assert not marker.exists()
    assert set(read_checkpoint(tmp_path / 'evil.pth', trusted=True).state_dict) == {'w'}
    assert marker.exists()


def test_restricted_unpickler_of_older_torch(tmp_path):
    marker = tmp_path / 'ran'
    load = dict(map_location='cpu', weights_only=False, pickle_module=restricted_pickle())
    weights = {'w': torch.ones(2, dtype=torch.bfloat16)}
    torch.save(dict(state_dict=weights, meta=dict(a=np.ones(2), b=np.float32(2))), tmp_path / 'good.pth')
    good = torch.load(tmp_path / 'good.pth', **load)
    assert good['state_dict']['w'].tolist() == [1, 1] and good['meta']['a'].tolist() == [1, 1] and good['meta']['b'] == 2
    torch.save(dict(w=torch.ones(1), meta=Evil(marker)), tmp_path / 'evil.pth')
    with pytest.raises(Exception, match='Unsupported global'):
        torch.load(tmp_path / 'evil.pth', **load)
    assert not marker.exists()


def test_torchscript_says_what_it_is(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(tmp_path / 'x.pt2'))
    with pytest.raises(ValueError, match='TorchScript export'):
        read_checkpoint(tmp_path / 'x.pt2')


def test_averaged_weights(tmp_path):
    raw, mean = {'w': torch.zeros(1)}, {'w': torch.ones(1)}
    kept = {'module.w': raw['w'], 'steps': torch.tensor(3)}
    torch.save(dict(state_dict=mean, ema_state_dict=kept, optimizer={}), tmp_path / 'mm.pth')
    checkpoint = read_checkpoint(tmp_path / 'mm.pth')
    assert checkpoint.state_dict['w'] == 1 and unwrapped(checkpoint.raw_state_dict)['w'] == 0
    assert checkpoint.left_out == ('optimizer', )
    torch.save(dict(state_dict=raw, state_dict_ema=mean), tmp_path / 'other.pth')
    checkpoint = read_checkpoint(tmp_path / 'other.pth')
    assert checkpoint.state_dict['w'] == 1 and checkpoint.raw_state_dict['w'] == 0


class TestSources:

    def test_hf_addresses(self):
        assert parse_hf('hf://facebook/x-1b/a/b.pth') == ('facebook/x-1b', 'a/b.pth', None)
        assert parse_hf('hf://o/r/f.safetensors@v1.0') == ('o/r', 'f.safetensors', 'v1.0')
        for wrong in ('hf://o/r', 'hf://r/', 'hf:/o/r/f', 'hf://o/r/f@'):
            with pytest.raises(ValueError, match='owner/repo/file'):
                parse_hf(wrong)

    def test_hf(self, released, monkeypatch):
        asked = []
        hub = types.ModuleType('huggingface_hub')
        hub.hf_hub_download = lambda repo, file, revision=None: asked.append((repo, file, revision)) or str(released[1])
        monkeypatch.setitem(sys.modules, 'huggingface_hub', hub)
        load_model(blank(released[0]), 'hf://o/r/sub/f.pth@abc')
        assert asked == [('o/r', 'sub/f.pth', 'abc')]
        content = CheckpointLoader.load_checkpoint('hf://o/r/f.pth', map_location='cpu')
        assert 'state_dict' in content and 'meta' in content

    def test_hf_offline(self, monkeypatch):
        hub = types.ModuleType('huggingface_hub')

        def fail(*args, **kwargs):
            raise RuntimeError('cannot find the requested files in the local cache')

        hub.hf_hub_download = fail
        monkeypatch.setitem(sys.modules, 'huggingface_hub', hub)
        monkeypatch.setenv('HF_HUB_OFFLINE', '1')
        with pytest.raises(FileNotFoundError, match='HF_HUB_OFFLINE'):
            fetch('hf://o/r/f.pth')

    def test_hf_without_its_library(self, monkeypatch):
        monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
        with pytest.raises(ValueError, match='pip install huggingface_hub'):
            fetch('hf://o/r/f.pth')

    def test_url_is_downloaded_once(self, released, tmp_path, monkeypatch, free_port):
        asked = []

        class Handler(http.server.SimpleHTTPRequestHandler):

            def __init__(self, *args):
                super().__init__(*args, directory=str(released[1].parent))

            def log_message(self, *args):
                asked.append(self.path)

        server = http.server.ThreadingHTTPServer(('127.0.0.1', free_port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv('TORCH_HOME', str(tmp_path))
        try:
            url = f'http://127.0.0.1:{free_port}/{released[1].name}'
            for _ in range(2):
                load_model(blank(released[0]), url)
            with pytest.raises(FileNotFoundError, match='cannot be downloaded'):
                fetch(f'http://127.0.0.1:{free_port}/none.pth')
        finally:
            server.shutdown()
            server.server_close()
        assert asked == [f'/{released[1].name}'] + ['/none.pth'] * (len(asked) - 1)
        assert [p.name for p in (tmp_path / 'hub' / 'checkpoints').iterdir()] == [released[1].name]

    def test_mmengine_loads_safetensors(self, tmp_path):
        save_file({'w': torch.ones(2)}, str(tmp_path / 'x.safetensors'))
        assert CheckpointLoader.load_checkpoint(str(tmp_path / 'x.safetensors'))['state_dict']['w'].tolist() == [1, 1]

    def test_mmengine_reads_what_it_is_handed_with_care(self, tmp_path):
        torch.save(dict(state_dict={'w': torch.ones(1)}, meta=Evil(tmp_path / 'ran')), tmp_path / 'evil.pth')
        path = hand_to_mmengine(str(tmp_path / 'evil.pth'))
        with pytest.raises(ValueError, match='trusted'):
            CheckpointLoader.load_checkpoint(path)
        data = (tmp_path / 'evil.pth').read_bytes()
        (tmp_path / 'cut.pth').write_bytes(data[:len(data) // 2])
        with pytest.raises(ValueError, match='cut short'):
            CheckpointLoader.load_checkpoint(hand_to_mmengine(str(tmp_path / 'cut.pth')))


class TestRunners:

    def test_stock_inferencer_takes_safetensors(self, released, tmp_path):
        from mmpose.apis import MMPoseInferencer
        config, path = released
        save_file(torch_load(str(path))['state_dict'], str(tmp_path / 'x.safetensors'))
        inferencer = MMPoseInferencer(pose2d=str(config), pose2d_weights=str(tmp_path / 'x.safetensors'), det_model='whole_image',
                                      device='cpu')
        assert same(inferencer.inferencer.model, torch_load(str(path))['state_dict'])

    def test_wrong_weights_stop_the_stock_inferencer(self, released, tmp_path):
        from mmpose.apis import MMPoseInferencer
        _, other = write_pose(tmp_path, 17)
        with pytest.raises(ValueError, match='17'):
            MMPoseInferencer(pose2d=str(released[0]), pose2d_weights=str(other), det_model='whole_image', device='cpu')


def test_config_of_the_test_is_whole(released):
    assert Config.fromfile(released[0]).model.head.out_channels == 308
