"""The page: what its server answers, and the page itself in a real browser."""
import http.client
import importlib.util
import json
import shutil
import threading
import urllib.error
import urllib.request

import cv2
import numpy as np
import pytest

from sapiens_mm.apis import PartsInferencer, PoseInferencer
from tests.apis.support import picture, write_dense, write_pose
from tests.support import ROOT


@pytest.fixture(scope='module')
def webui():
    spec = importlib.util.spec_from_file_location('webui', ROOT / 'demo' / 'webui.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp('m')
    pose, parts = (list(map(str, made)) for made in (write_pose(folder, 308), write_dense(folder, 'parts')))
    return [('a.pth', PoseInferencer(*pose, device='cpu')), ('b <i>.pth', PoseInferencer(*pose, device='cpu', flip_test=False)),
            ('c.pth', PartsInferencer(*parts, device='cpu'))]


@pytest.fixture(scope='module')
def page(webui, models):
    server = webui.make_server(models, '127.0.0.1', 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/'
    server.shutdown()
    server.server_close()


def post(url, content, **headers):
    return json.loads(urllib.request.urlopen(urllib.request.Request(url, data=content, headers=headers), timeout=60).read())


def png(image):
    return cv2.imencode('.png', image)[1].tobytes()


def decoded(url):
    return urllib.request.urlopen(url).read()


class TestServer:

    def test_page(self, page):
        html = urllib.request.urlopen(page).read().decode()
        facts = json.loads(html.split('type="application/json">')[1].split('</script>')[0])
        assert [m['task'] for m in facts['models']] == ['pose', 'pose', 'parts'] and facts['models'][1]['name'] == 'b <i>.pth'
        assert '<i>' not in html

    @pytest.mark.parametrize('model, task, suffix', [(0, 'pose', 'json'), (1, 'pose', 'json'), (2, 'parts', 'png')])
    def test_run(self, page, models, model, task, suffix):
        got = post(f'{page}run?model={model}&name=a%20b.png', png(picture()))
        assert got['said'].startswith(f'{task} of a b.png, 90 x 120 pixels')
        assert [(f['name'], f['overlay']) for f in got['files']] == [(f'ab.{suffix}', False), (f'ab_{task}.jpg', True)]
        overlay = cv2.imdecode(np.frombuffer(decoded(got['files'][1]['data']), np.uint8), cv2.IMREAD_COLOR)
        assert overlay.shape == (120, 90, 3)
        expected = models[model][1](picture())['predictions'][0]
        if task == 'pose':
            found = json.loads(decoded(got['files'][0]['data']))['instances'][0]
            np.testing.assert_allclose(found['keypoints'], expected['instances'][0]['keypoints'], atol=2e-3)
        else:
            found = cv2.imdecode(np.frombuffer(decoded(got['files'][0]['data']), np.uint8), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(found, expected['parts'])

    @pytest.mark.parametrize('query, content, says', [
        ('model=0&name=../../x.png', b'no picture', 'x.png cannot be decoded'),
        ('model=0&name=x.mp4', b'no picture', 'x.mp4 cannot be decoded'),
        ('model=0', png(picture())[:200], 'picture cannot be decoded'),
        ('model=3', b'x', 'no such model'),
        ('model=-1', b'x', 'no such model'),
        ('', b'x', 'no such model'),
        ('model=0', b'', 'has up to 64 MB'),
    ])
    def test_says_what_is_wrong(self, page, query, content, says):
        with pytest.raises(urllib.error.HTTPError) as error:
            post(f'{page}run?{query}', content)
        text = json.loads(error.value.read())['error']
        assert error.value.code == 400 and says in text and 'tmp' not in text

    def test_sizes(self, page, webui, monkeypatch):
        monkeypatch.setattr(webui, 'MAX_BYTES', 1000)
        with pytest.raises(urllib.error.HTTPError) as error:
            post(f'{page}run?model=0', bytes(1001))
        assert b'up to' in error.value.read()
        monkeypatch.setattr(webui, 'MAX_BYTES', 2**20)
        monkeypatch.setattr(webui, 'MAX_PIXELS', 100 * 100)
        with pytest.raises(urllib.error.HTTPError) as error:
            post(f'{page}run?model=0&name=x.png', png(picture()))
        assert b'x.png is too large: 90 x 120 pixels' in error.value.read()

    def test_an_upload_that_breaks_off(self, page):
        connection = http.client.HTTPConnection(page.split('/')[2], timeout=60)
        connection.putrequest('POST', '/run?model=0&name=x.png')
        connection.putheader('Content-Length', '1000')
        connection.endheaders(b'half')
        connection.sock.shutdown(1)
        answer = connection.getresponse()
        assert answer.status == 400 and b'x.png did not arrive whole' in answer.read()

    def test_errors_of_the_model(self, page, models, monkeypatch, capsys):

        def forward(batch):
            raise RuntimeError('out of\nmemory')

        monkeypatch.setattr(models[0][1], 'forward', forward)
        with pytest.raises(urllib.error.HTTPError) as error:
            post(f'{page}run?model=0&name=x.png', png(picture()))
        assert error.value.code == 500 and 'x.png could not be worked on: out of memory' in error.value.read().decode()
        assert 'RuntimeError' in capsys.readouterr().err

    def test_other_sites_have_no_way_in(self, page):
        """A foreign name that is made to lead to this machine."""
        for path, content in (('', None), ('run?model=0', png(picture()))):
            with pytest.raises(urllib.error.HTTPError) as error:
                post(page + path, content, Host='elsewhere.example')
            assert error.value.code == 404


class TestCommand:

    class Server:
        server_port = 7

        def serve_forever(self):
            raise KeyboardInterrupt

        def server_close(self):
            """Nothing is open."""

    def test_models(self, webui, tmp_path, monkeypatch, capsys):
        config, weights = write_pose(tmp_path, 17)
        given = []
        monkeypatch.setattr(webui, 'make_server', lambda models, host, port: given.extend(models) or self.Server())
        monkeypatch.setattr('sys.argv', ['webui.py', '--device', 'cpu', *(a for task in ('pose', 'pose', 'features')
                                                                          for a in ('--model', f'{task}={config},{weights}'))])
        webui.main()
        assert [(name, inferencer.task) for name, inferencer in given] == [
            ('tiny_pose_17.pth', 'pose'), ('tiny_pose_17.pth', 'pose'), ('tiny_pose_17.pth', 'features')]
        assert 'open http://127.0.0.1:7 in a browser' in capsys.readouterr().out

    def test_mistakes(self, webui, page, tmp_path, monkeypatch):
        monkeypatch.setattr('sys.argv', ['webui.py', '--model', 'albedo=x'])
        with pytest.raises(ValueError, match='TASK=CONFIG,WEIGHTS'):
            webui.main()
        config, weights = write_pose(tmp_path, 17)
        port = page.rstrip('/').rpartition(':')[2]
        monkeypatch.setattr('sys.argv', ['webui.py', '--model', f'pose={config},{weights}', '--device', 'cpu', '--port', port])
        with pytest.raises(ValueError, match='give another --port'):
            webui.main()


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    pytest.importorskip('selenium', reason='driving a browser needs selenium')
    from selenium import webdriver
    programs = shutil.which('chromium') or shutil.which('google-chrome'), shutil.which('chromedriver')
    if None in programs:
        pytest.skip('there is no Chromium and driver here (Debian: apt-get install chromium chromium-driver)')
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    downloads = tmp_path_factory.mktemp('downloads')
    for flag in ('headless', 'no-sandbox', 'disable-gpu', 'disable-quic', 'disable-dev-shm-usage', 'no-first-run',
                 'disable-background-networking', 'disable-component-update', 'disable-sync', 'window-size=1100,1000',
                 f'user-data-dir={tmp_path_factory.mktemp("profile")}'):
        options.add_argument(f'--{flag}')
    options.add_experimental_option('prefs', {'download.default_directory': str(downloads)})
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs[1]))
    driver.downloads = downloads
    yield driver
    driver.quit()


DROP = '''
const [data, name, kind] = arguments, bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
const transfer = new DataTransfer();
transfer.items.add(new File([bytes], name, {type: kind}));
for (const event of ['dragover', 'drop'])
  document.getElementById('drop').dispatchEvent(new DragEvent(event, {dataTransfer: transfer, bubbles: true, cancelable: true}));
'''


class TestBrowser:

    @staticmethod
    def wait(browser, true):
        from selenium.webdriver.support.ui import WebDriverWait
        return WebDriverWait(browser, 120).until(lambda _: true())

    @pytest.fixture
    def opened(self, page, browser):
        browser.get(page)
        yield browser
        assert [e for e in browser.get_log('browser') if e['level'] == 'SEVERE' and 'status of 400' not in e['message']] == []

    @staticmethod
    def get(browser, selector):
        return browser.find_elements('css selector', selector)

    def shown(self, browser, said):
        """Both pictures' sizes, once the page says so."""
        self.wait(browser, lambda: self.get(browser, '#said')[0].text.startswith(said))
        self.wait(browser, lambda: browser.execute_script('return [...document.images].every(i => i.complete && i.naturalWidth)'))
        return browser.execute_script('return [...document.images].map(i => [i.alt, i.naturalWidth, i.naturalHeight])')

    def test_choose_see_and_download(self, opened, models, tmp_path):
        from selenium.webdriver.support.ui import Select
        task, model = Select(self.get(opened, '#task')[0]), Select(self.get(opened, '#model')[0])
        assert [o.text for o in task.options] == ['pose', 'parts']
        assert [o.text for o in model.options] == ['a.pth', 'b <i>.pth']
        (tmp_path / 'me.png').write_bytes(png(picture()))
        self.get(opened, '#file')[0].send_keys(str(tmp_path / 'me.png'))
        assert self.shown(opened, 'pose of me.png, 90 x 120') == [['picture', 90, 120], ['result', 90, 120]]
        task.select_by_visible_text('parts')  # the picture stays
        assert [o.text for o in model.options] == ['c.pth']
        assert self.shown(opened, 'parts of me.png') == [['picture', 90, 120], ['result', 90, 120]]
        links = self.get(opened, '#links a')
        assert [link.text for link in links] == ['Download me.png', 'Download me_parts.jpg']
        links[0].click()
        file = opened.downloads / 'me.png'
        self.wait(opened, file.is_file)
        parts = models[2][1](picture())['predictions'][0]['parts']
        np.testing.assert_array_equal(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), parts)

    def test_drop(self, opened):
        import base64

        def drop(content, name, kind):
            opened.execute_script(DROP, base64.b64encode(content).decode(), name, kind)

        drop(b'no picture', 'notes.txt', 'text/plain')
        self.wait(opened, lambda: self.get(opened, '#said.wrong'))
        assert self.get(opened, '#said')[0].text.startswith('notes.txt cannot be decoded')
        assert not self.get(opened, '#pictures img')
        drop(png(picture(50, 80)), 'a.png', 'image/png')
        drop(png(picture(80, 50)), 'b.png', 'image/png')  # before the first is answered
        assert self.shown(opened, 'pose of b.png, 50 x 80') == [['picture', 50, 80], ['result', 50, 80]]
        assert not self.get(opened, '#said.wrong')
