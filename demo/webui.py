"""A page in the browser: drop a picture, choose task and checkpoint, see the result and download it.

python demo/webui.py --model pose=CONFIG,WEIGHTS --model depth=CONFIG,WEIGHTS   (or the name of a released model: --model
pose=sapiens-1b-pose-308). It needs nothing but Python's own web server, and listens on this machine only unless told otherwise.
"""
from __future__ import annotations

import argparse
import base64
import json
import tempfile
import threading
import time
import traceback
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.cli import UserError, run_tool

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 100_000_000
LOCAL = ('127.0.0.1', 'localhost')


def check_picture(content: bytes, name: str) -> None:
    """Refuse pictures of a size that would fill the memory, before they are decoded."""
    from PIL import Image
    try:
        with Image.open(BytesIO(content)) as image:
            width, height = image.size
    except Image.DecompressionBombError as error:
        raise ValueError(f'{name} is too large: up to {MAX_PIXELS // 10**6} million pixels') from error
    except (OSError, ValueError, SyntaxError):
        return  # OpenCV may read it
    if width * height > MAX_PIXELS:
        raise ValueError(f'{name} is too large: {width} x {height} pixels, up to {MAX_PIXELS // 10**6} million')


def work(inferencer, content: bytes, name: str) -> dict:
    """Run a picture file's bytes through an inferencer: what the page shows and offers."""
    from sapiens_mm.apis.inputs import read_image
    check_picture(content, name)
    stem = ''.join(c for c in Path(name).stem if c.isalnum() or c in '-_')[:64] or 'picture'
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / f'{stem}.picture', Path(folder) / 'out'
        source.write_bytes(content)
        start = time.perf_counter()
        try:
            height, width = read_image(source).shape[:2]
            inferencer(str(source), out_dir=out)
        except ValueError as error:
            raise ValueError(str(error).replace(str(source), name)) from error
        seconds = time.perf_counter() - start
        vis = out / 'vis' / f'{stem}.jpg'

        def packed(path: Path, kind: str, name: str) -> dict:
            data = f'data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}'
            return dict(name=name, data=data, overlay=path == vis)

        return dict(said=f'{inferencer.task} of {name}, {width} x {height} pixels, in {seconds:.1f} s',
                    files=[*(packed(p, 'application/octet-stream', p.name) for p in sorted(out.glob(f'{stem}.*'))),
                           packed(vis, 'image/jpeg', f'{stem}_{inferencer.task}.jpg')])


def make_server(models: list[tuple[str, object]], host: str, port: int) -> ThreadingHTTPServer:
    """A server of the page; ``models``: what each is called in the page, and its inferencer."""
    facts = dict(models=[dict(task=inferencer.task, name=name) for name, inferencer in models], limit=MAX_BYTES)
    page = Path(__file__).with_suffix('.html').read_text(encoding='utf-8')
    page = page.replace('FACTS', json.dumps(facts).replace('<', '\\u003c')).encode()
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        timeout = 60  # seconds without a byte

        def answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header('Content-Type', kind)
            self.send_header('Content-Length', str(len(body)))
            self.send_header('X-Content-Type-Options', 'nosniff')
            self.end_headers()
            self.wfile.write(body)

        def refuse(self, error: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
            self.answer(status, json.dumps(dict(error=error)).encode(), 'application/json')

        def at_home(self) -> bool:
            """Whether it was asked under this machine's own name: other sites' pages cannot lend theirs to it."""
            return host not in LOCAL or self.headers.get('Host', '').partition(':')[0] in LOCAL

        def do_GET(self) -> None:
            if self.at_home() and urlparse(self.path).path in ('/', '/index.html'):
                self.answer(HTTPStatus.OK, page, 'text/html; charset=utf-8')
            else:
                self.answer(HTTPStatus.NOT_FOUND, b'not found', 'text/plain')

        def do_POST(self) -> None:
            url, length = urlparse(self.path), self.headers.get('Content-Length', '')
            query = parse_qs(url.query)
            model, name = query.get('model', [''])[0], Path(query.get('name', ['picture'])[0]).name[:128] or 'picture'
            if url.path != '/run' or not self.at_home():
                return self.refuse('there is no such page', HTTPStatus.NOT_FOUND)
            if not (model.isascii() and model.isdigit() and int(model) < len(models)):
                return self.refuse('there is no such model; load the page again')
            if not (length.isascii() and length.isdigit() and 0 < int(length) <= MAX_BYTES):
                return self.refuse(f'a picture has up to {MAX_BYTES >> 20} MB')
            content = self.rfile.read(int(length))
            if len(content) < int(length):
                return self.refuse(f'{name} did not arrive whole')
            try:
                with one_at_a_time:
                    result = work(models[int(model)][1], content, name)
            except (ValueError, FileNotFoundError) as error:
                self.refuse(str(error))
            except Exception as error:  # the page says it in one sentence, the terminal has the rest
                traceback.print_exc()
                self.refuse(f'{name} could not be worked on: {" ".join(str(error).split())[:200]}',
                            HTTPStatus.INTERNAL_SERVER_ERROR)
            else:
                self.answer(HTTPStatus.OK, json.dumps(result).encode(), 'application/json')

        def log_message(self, *args) -> None:
            """Quiet: the terminal has the log of the models."""

    return ThreadingHTTPServer((host, port), Handler)


def main() -> None:
    from sapiens_mm.apis.multi import TASKS
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', action='append', required=True, metavar='TASK=CONFIG,WEIGHTS',
                        help=f'one of {", ".join(TASKS)}, or TASK=NAME of a released model; may be given several times, also for '
                        'one task')
    parser.add_argument('--detector', help='mmdet config of a person detector (default: RTMDet-m)')
    parser.add_argument('--detector-weights', help='its checkpoint; without one the whole picture counts as one person')
    parser.add_argument('--device', help='such as cuda:0; by default a GPU where there is one')
    parser.add_argument('--precision', choices=['fp32', 'bf16', 'fp16'], default='fp32')
    parser.add_argument('--trusted', action='store_true', help='load checkpoints that could run code: only of your own')
    parser.add_argument('--host', default='127.0.0.1', help='0.0.0.0 lets other machines in; there is no password')
    parser.add_argument('--port', type=int, default=7860)
    args = parser.parse_args()
    models = []
    for given in args.model:
        task, _, model = given.partition('=')
        if task not in TASKS or not model:
            raise UserError(f'--model takes TASK=CONFIG,WEIGHTS with a task of {", ".join(TASKS)}, got {given}')
        config, _, weights = model.partition(',')
        people = {} if task == 'features' else dict(detector=args.detector, detector_weights=args.detector_weights)
        models.append((Path(weights or config).name, TASKS[task](config, weights or None, args.device, precision=args.precision,
                                                                 trusted=args.trusted, **people)))
    try:
        server = make_server(models, args.host, args.port)
    except OSError as error:
        raise UserError(f'cannot listen on {args.host}:{args.port}: {error.strerror}; give another --port') from error
    print(f'open http://{args.host}:{server.server_port} in a browser; stop with Ctrl-C', flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()


if __name__ == '__main__':
    run_tool(main)
