"""Released files in every form, right and subtly wrong, from every kind of source."""
import gzip
import hashlib
import http.server
import sys
import threading
import types
import zipfile

import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.runner import CheckpointLoader
from safetensors.torch import save_file

from sapiens_mm.engine.checkpoint import (
    bare_backbone,
    hand_to_mmengine,
    load_backbone,
    load_for_mmengine,
    load_model,
    read_checkpoint,
    unwrapped,
)
from sapiens_mm.engine.convert import convert
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


def put(value):
    """Sets the middle value of a tensor."""

    def change(tensor):
        tensor.view(-1)[tensor.numel() // 2] = value
        return tensor

    return change


QKV, HEAD = 'backbone.layers.1.attn.qkv.weight', 'head.final_layer.weight'
NO_TENSORS = [
    (QKV, lambda t: t.to_sparse(), 'sparse'), (QKV, lambda t: t.to('meta'), 'without values'),
    (QKV, lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), 'quantised'),
    ('more', lambda t: torch.zeros(1).expand(96000000, 3200000), 'declares 307200000000000 values and holds 1')]
DAMAGE = [
    (QKV, put(float('nan')), 'not finite'), ('backbone.ln1.bias', put(float('inf')), 'not finite'),
    (HEAD, put(-float('inf')), 'not finite'),
    (QKV, lambda t: t.half().view(-1).fill_(float('nan')).view_as(t), 'not finite'), (QKV, torch.zeros_like, '512 or more zeros'),
    (HEAD, lambda t: t.view(-1).index_fill_(0, torch.arange(1024, 2048), 0).view_as(t), '512 or more zeros'),
    (QKV, lambda t: (100 * t).to(torch.int8), 'holds int8'), (HEAD, lambda t: t > 0, 'holds bool')]


def with_change(released, path, name, change):
    state = {n: v.clone() for n, v in torch_load(str(released[1]))['state_dict'].items()}
    state[name] = change(state.get(name))
    torch.save(dict(state_dict=state, meta={}), path)
    return str(path)


@pytest.mark.parametrize('name, change, says', [*NO_TENSORS, *DAMAGE])
def test_values_of_no_use_are_refused(released, tmp_path, name, change, says):
    path = with_change(released, tmp_path / 'x.pth', name, change)
    with pytest.raises(ValueError, match=f'{name.partition(".")[2] or name}.*{says}'):
        load_model(blank(released[0]), path)
    with pytest.raises(ValueError, match=says):
        convert(path, tmp_path / 'y.safetensors')
    assert [p.name for p in tmp_path.iterdir()] == ['x.pth']


def test_values_that_are_as_they_may_be(released, tmp_path):
    for name, change in (('backbone.pos_embed', torch.zeros_like), ('backbone.layers.0.attn.qkv.bias', torch.zeros_like),
                         (HEAD, lambda t: t.half().clamp(-65504, 65504)), (QKV, lambda t: t.double())):
        load_model(blank(released[0]), with_change(released, tmp_path / 'x.pth', name, change))


@pytest.mark.parametrize('load', ['stock', 'runner', 'init_cfg'])
@pytest.mark.parametrize('change, says', [(put(float('nan')), 'not finite'), (lambda t: t.to(torch.int8), 'holds int8')])
def test_every_loader_refuses_damage(released, tmp_path, load, change, says):
    path = with_change(released, tmp_path / 'x.pth', QKV, change)
    cfg = Config.fromfile(released[0])
    with pytest.raises(ValueError, match=f'attn.qkv.weight {says}' if says == 'holds int8' else says):
        if load == 'stock':
            from mmpose.apis import init_model
            init_model(str(released[0]), path, device='cpu')
        elif load == 'runner':
            from mmengine.runner import Runner
            cfg.work_dir, cfg.load_from = str(tmp_path / 'work'), hand_to_mmengine(path)
            Runner.from_cfg(cfg).load_or_resume()
        else:
            model = blank(released[0]).backbone
            model.init_cfg = dict(type='Pretrained', checkpoint=path)
            model.init_weights()


def archive(path, name='a.txt'):
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr(name, 'x')


FOREIGN = dict(
    empty=('x.pth', lambda p, s: p.write_bytes(b''), 'is empty'),
    page=('x.pth', lambda p, s: p.write_text('\n <!DOCTYPE html><html>log in</html>'), 'a web page'),
    error=('x.pth', lambda p, s: p.write_text('<?xml version="1.0"?><Error>AccessDenied</Error>'), 'a web page'),
    answer=('x.pth', lambda p, s: p.write_text('{"error": "restricted"}'), 'restricted'),
    lfs=('x.pth', lambda p, s: p.write_text('version https://git-lfs.github.com/spec/v1\noid sha256:0\n'), 'git lfs pull'),
    lfs_safetensors=('x.safetensors', lambda p, s: p.write_text('version https://git-lfs.github.com/spec/v1\n'), 'git lfs pull'),
    zip=('x.pth', lambda p, s: archive(p), 'an archive with a.txt'),
    gzip=('x.pth', lambda p, s: p.write_bytes(gzip.compress(b'x')), 'unpack'),
    folder=('x.pth', lambda p, s: (p.mkdir(), (p / 'a.pth').touch()), 'is a folder; .*a.pth'),
    torch_as_safetensors=('x.safetensors', lambda p, s: torch.save(s, p), 'call it .pth'),
    safetensors_as_torch=('x.pth', lambda p, s: save_file(s, str(p)), 'call it .safetensors'),
    torchscript=('x.pt2', lambda p, s: torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(p)), 'TorchScript export'),
    long_header=('x.safetensors', lambda p, s: p.write_bytes((10**15).to_bytes(8, 'little') + b'{}'), 'cannot be read'),
    noise=('x.pth', lambda p, s: p.write_bytes(bytes(range(255, 0, -1))), 'no checkpoint at all'),
    text=('x.pth', lambda p, s: p.write_text('a text that is no checkpoint'), 'no checkpoint at all'),
    entries=('x.pth', lambda p, s: torch.save(dict(net=s, epoch=3), p), 'its entries are net, epoch'),
    arrays=('x.pth', lambda p, s: torch.save(dict(state_dict={n: v.numpy() for n, v in s.items()}), p), 'no weights'),
    a_list=('x.pth', lambda p, s: torch.save([1], p), 'but a list'))


@pytest.mark.parametrize('kind', FOREIGN)
def test_what_is_no_checkpoint_says_what_it_is(released, tmp_path, kind):
    name, write, says = FOREIGN[kind]
    write(tmp_path / name, dict(torch_load(str(released[1]))['state_dict']))
    for read in (read_checkpoint, lambda p: load_for_mmengine(str(p)), lambda p: convert(str(p), tmp_path / 'y.pth')):
        with pytest.raises((ValueError, FileNotFoundError), match=says):
            read(tmp_path / name)


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
    assert load_for_mmengine(str(tmp_path / 'other.pth'))['state_dict']['w'] == 1
    torch.save(dict(model=raw, epoch=2), tmp_path / 'third.pth')
    assert load_for_mmengine(str(tmp_path / 'third.pth'))['state_dict']['w'] == 0


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

    @pytest.mark.parametrize('error, parents, says', [
        ('GatedRepoError', ('RepositoryNotFoundError', ), 'gated: accept its terms.*HF_TOKEN'),
        ('RepositoryNotFoundError', (), 'no such repository, or it is private.*HF_TOKEN'),
        ('RevisionNotFoundError', (), 'no such revision'),
        ('EntryNotFoundError', (), 'no such file'),
        ('LocalEntryNotFoundError', ('EntryNotFoundError', ), 'cannot be reached and the file is not in the cache'),
        ('OfflineModeIsEnabled', (), 'HF_HUB_OFFLINE is set'),
        ('SomethingNew', (), 'what it says itself')])
    def test_hf_refusals(self, monkeypatch, error, parents, says):
        kind = Exception
        for name in (*parents, error):
            kind = type(name, (kind, ), {})
        self.fake_hub(monkeypatch, kind('what it\nsays itself'))
        with pytest.raises(FileNotFoundError, match=f'hf://o/r/f.pth cannot be had: .*{says}'):
            fetch('hf://o/r/f.pth')

    def test_hf_offline(self, monkeypatch):
        self.fake_hub(monkeypatch, RuntimeError('cannot find the requested files in the local cache'))
        monkeypatch.setenv('HF_HUB_OFFLINE', '1')
        with pytest.raises(FileNotFoundError, match='HF_HUB_OFFLINE'):
            fetch('hf://o/r/f.pth')

    @staticmethod
    def fake_hub(monkeypatch, error):
        hub = types.ModuleType('huggingface_hub')

        def fail(*args, **kwargs):
            raise error

        hub.hf_hub_download = fail
        monkeypatch.setitem(sys.modules, 'huggingface_hub', hub)

    def test_hf_without_its_library(self, monkeypatch):
        monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
        with pytest.raises(ValueError, match='pip install huggingface_hub'):
            fetch('hf://o/r/f.pth')


class TestUrls:

    @pytest.fixture
    def serve(self, tmp_path, monkeypatch):
        """Serves path -> (status, declared length or None, content); counts what was asked."""
        answers, asked = {}, []

        class Handler(http.server.BaseHTTPRequestHandler):

            def do_GET(self):
                asked.append(self.path)
                status, length, content = answers.get(self.path, (404, None, b'none'))
                self.send_response(status)
                if length is not None:
                    self.send_header('Content-Length', str(length))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv('TORCH_HOME', str(tmp_path))
        yield f'http://127.0.0.1:{server.server_port}', answers, asked
        server.shutdown()
        server.server_close()

    @staticmethod
    def cached(folder):
        return [p for p in (folder / 'hub').rglob('*') if p.is_file()]

    def test_downloaded_once(self, serve, released, tmp_path):
        host, answers, asked = serve
        content = released[1].read_bytes()
        answers['/x.pth'] = 200, len(content), content
        for _ in range(2):
            load_model(blank(released[0]), f'{host}/x.pth')
        assert asked == ['/x.pth'] and len(self.cached(tmp_path)) == 1

    def test_files_of_one_name_are_not_taken_for_each_other(self, serve, released):
        host, answers, _ = serve
        content = released[1].read_bytes()
        for place, more in (('/a/epoch_1.pth', b''), ('/b/epoch_1.pth', b' '), ('/a/epoch_1.pth?run=2', b'  ')):
            answers[place] = 200, None, content + more
        sizes = [len(open(fetch(host + place), 'rb').read()) for place in answers]
        assert sizes == [len(content) + i for i in range(3)]

    @pytest.mark.parametrize('path, status, more, content, says', [
        ('/cut.pth', 200, 100, None, r'ended after \d+ of \d+ bytes'),
        ('/login.pth', 200, 0, b'<!DOCTYPE html><html>Please log in</html>', 'a web page'),
        ('/lfs.pth', 200, 0, b'version https://git-lfs.github.com/spec/v1\noid sha256:0\n', 'Git LFS'),
        ('/empty.pth', 200, 0, b'', 'is empty'),
        ('/gated.pth', 403, 0, b'no', '403.*login'),
        ('/none.pth', 404, 0, b'no', '404.*no such file'),
        ('/busy.pth', 503, 0, b'no', '503'),
        ('/x-0123abcd.pth', 200, 0, None, 'not the 0123abcd of its name')])
    def test_nothing_wrong_stays(self, serve, released, tmp_path, path, status, more, content, says):
        host, answers, _ = serve
        content = released[1].read_bytes() if content is None else content
        answers[path] = status, len(content) + more, content
        with pytest.raises(FileNotFoundError, match=f'{path} cannot be downloaded: .*{says}'):
            fetch(host + path)
        assert self.cached(tmp_path) == []

    def test_hash_in_the_name(self, serve, released):
        host, answers, _ = serve
        content = released[1].read_bytes()
        name = f'/x-{hashlib.sha256(content).hexdigest()[:16]}.pth'
        answers[name] = answers['/x-20240131.pth'] = 200, None, content  # the other is a date
        for path in answers:
            assert open(fetch(host + path), 'rb').read() == content

    def test_nobody_there(self, tmp_path, monkeypatch, free_port):
        monkeypatch.setenv('TORCH_HOME', str(tmp_path))
        with pytest.raises(FileNotFoundError, match='cannot be downloaded'):
            fetch(f'http://127.0.0.1:{free_port}/x.pth')


class TestMmengine:

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
