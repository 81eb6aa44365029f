"""A page in the browser: drop a picture, choose a task, see the result and download it.

python demo/webui.py --model pose=CONFIG,WEIGHTS --model depth=CONFIG,WEIGHTS   (or the name of a released model: --model
pose=sapiens-1b-pose-308). Only Python's own web server; it listens on this machine only unless told otherwise.
"""
from __future__ import annotations

import argparse
import base64
import json
import tempfile
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import cv2
import numpy as np

import sapiens_mm  # noqa: F401  (first, so that the OpenMMLab packages import)
from sapiens_mm.engine.cli import UserError, run_tool

MAX_BYTES = 64 * 1024 * 1024
PAGE = '''<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>sapiens_mm</title>
<style>
 body{font:16px system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222}
 #drop{border:2px dashed #999;border-radius:8px;padding:2rem;text-align:center;cursor:pointer}
 #drop.over{background:#eef} #pictures{display:flex;gap:1rem;flex-wrap:wrap;margin-top:1rem}
 img{max-width:100%;max-height:70vh} figure{margin:0;flex:1 1 20rem} #said{min-height:1.5em;margin:1rem 0}
 a{margin-right:1rem}
</style>
<h1>sapiens_mm</h1>
<p><label>Task <select id="task">OPTIONS</select></label></p>
<div id="drop" tabindex="0" role="button">Drop a picture here, or click to choose one
<input id="file" type="file" accept="image/*" hidden></div>
<p id="said" role="status"></p><div id="links"></div><div id="pictures"></div>
<script>
const $ = id => document.getElementById(id); let last = null;
async function run() {
  if (!last) return;
  $('said').textContent = 'Working ...'; $('links').textContent = ''; $('pictures').textContent = '';
  try {
    const answer = await fetch('run?task=' + encodeURIComponent($('task').value) + '&name=' + encodeURIComponent(last.name),
                               {method: 'POST', body: last});
    const got = await answer.json();
    if (!answer.ok) throw new Error(got.error);
    $('said').textContent = got.said;
    const show = (src, text) => { const f = document.createElement('figure'), i = document.createElement('img'),
      c = document.createElement('figcaption');
      i.src = src; i.alt = text; c.textContent = text; f.append(i, c); $('pictures').append(f); };
    show(URL.createObjectURL(last), 'picture'); show(got.overlay, 'result');
    for (const f of got.files) { const a = document.createElement('a'); a.href = f.data; a.download = f.name;
      a.textContent = 'Download ' + f.name; $('links').append(a); }
  } catch (e) { $('said').textContent = e.message; }
}
const take = files => { if (files.length) { last = files[0]; run(); } };
$('drop').onclick = () => $('file').click();
$('drop').onkeydown = e => { if (e.key === 'Enter' || e.key === ' ') $('file').click(); };
$('file').onchange = e => take(e.target.files); $('task').onchange = run;
$('drop').ondragover = e => { e.preventDefault(); $('drop').classList.add('over'); };
$('drop').ondragleave = () => $('drop').classList.remove('over');
$('drop').ondrop = e => { e.preventDefault(); $('drop').classList.remove('over'); take(e.dataTransfer.files); };
</script></html>'''


def work(inferencer, content: bytes, name: str) -> dict:
    """Run a picture file's bytes through an inferencer: what the page shows and offers."""
    stem = ''.join(c for c in Path(name).stem if c.isalnum() or c in '-_')[:64] or 'picture'
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f'{stem}{Path(name).suffix[:8]}'
        source.write_bytes(content)
        out = Path(folder) / 'out'
        inferencer(str(source), out_dir=out)
        vis = out / 'vis' / f'{stem}.jpg'
        files = [p for p in sorted(out.glob(f'{stem}.*')) + [vis] if p.is_file()]
        height, width = cv2.imdecode(np.fromfile(vis, np.uint8), cv2.IMREAD_COLOR).shape[:2]

        def as_url(path: Path, kind: str) -> str:
            return f'data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}'

        return dict(said=f'{inferencer.task}: {width} x {height} pixels', overlay=as_url(vis, 'image/jpeg'),
                    files=[dict(name=p.name if p != vis else f'{stem}_{inferencer.task}.jpg',
                                data=as_url(p, 'application/octet-stream')) for p in files])


def make_server(inferencers: dict, host: str, port: int) -> ThreadingHTTPServer:
    """A server of the page; ``inferencers``: name in the page -> inferencer."""
    page = PAGE.replace('OPTIONS', ''.join(f'<option>{name}</option>' for name in inferencers)).encode()
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):

        def answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header('Content-Type', kind)
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            if urlparse(self.path).path in ('/', '/index.html'):
                self.answer(HTTPStatus.OK, page, 'text/html; charset=utf-8')
            else:
                self.answer(HTTPStatus.NOT_FOUND, b'not found', 'text/plain')

        def do_POST(self) -> None:
            query = parse_qs(urlparse(self.path).query)
            length = self.headers.get('Content-Length', '')
            try:
                if urlparse(self.path).path != '/run' or query.get('task', [''])[0] not in inferencers:
                    raise ValueError('there is no such task')
                if not length.isdigit() or int(length) > MAX_BYTES:
                    raise ValueError(f'a picture has up to {MAX_BYTES >> 20} MB')
                content = self.rfile.read(int(length))
                with one_at_a_time:
                    result = work(inferencers[query['task'][0]], content, query.get('name', ['picture'])[0])
                self.answer(HTTPStatus.OK, json.dumps(result).encode(), 'application/json')
            except (ValueError, FileNotFoundError) as error:
                text = str(error).replace(tempfile.gettempdir(), '')
                self.answer(HTTPStatus.BAD_REQUEST, json.dumps(dict(error=text)).encode(), 'application/json')

        def log_message(self, *args) -> None:
            """Quiet: the terminal has the log of the models."""

    return ThreadingHTTPServer((host, port), Handler)


def main() -> None:
    from sapiens_mm.apis.multi import TASKS
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', action='append', required=True, metavar='TASK=CONFIG,WEIGHTS',
                        help=f'one of {", ".join(TASKS)}; may be given several times; or TASK=NAME of a released model')
    parser.add_argument('--device')
    parser.add_argument('--precision', choices=['fp32', 'bf16', 'fp16'], default='fp32')
    parser.add_argument('--host', default='127.0.0.1', help='0.0.0.0 lets other machines in; there is no password')
    parser.add_argument('--port', type=int, default=7860)
    args = parser.parse_args()
    inferencers = {}
    for given in args.model:
        task, _, model = given.partition('=')
        if task not in TASKS or not model:
            raise UserError(f'--model takes TASK=CONFIG,WEIGHTS with a task of {", ".join(TASKS)}, got {given}')
        config, _, weights = model.partition(',')
        inferencers[task] = TASKS[task](config, weights or None, args.device, precision=args.precision)
    server = make_server(inferencers, args.host, args.port)
    print(f'open http://{args.host}:{server.server_port} in a browser; stop with Ctrl-C', flush=True)
    try:
        server.serve_forever()
    finally:
        server.server_close()


if __name__ == '__main__':
    run_tool(main)
