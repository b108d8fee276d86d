"""nginx and HAProxy behind a client on every runtime.

What they do not answer themselves, a server of the same runtime does.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from .peers.real import HAPROXY_DEFAULTS, RUNTIMES, child, free_port, recorder, tool

CLIENT = Path(__file__).parent / "peers" / "our_client.py"
REQUESTS = 7
"""That nginx serves on one connection."""

NGINX = """\
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; gzip off; root {folder}/www;
  ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
  proxy_http_version 1.1; proxy_set_header Connection "";
  upstream back {{ server 127.0.0.1:{back}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port}; listen 127.0.0.1:{tls} ssl; keepalive_requests 7;
    location / {{ proxy_pass http://back; }}
    location = /big {{ try_files /big.bin =404; }}
    location = /upload {{
      client_max_body_size 0; proxy_request_buffering off; proxy_buffering off; proxy_pass http://back;
    }}
    location = /small {{ client_max_body_size 1m; proxy_pass http://back; }}
    location = /trailers {{ add_trailer X-Sum 42; try_files /trailers.txt =404; }}
    location = /same {{ try_files /trailers.txt =404; }}
    location = /none {{ return 204; }}
    location = /gone {{ return 444; }}
    location = /away {{ return 404; }}
    location = /dead {{ proxy_pass http://127.0.0.1:{dead}; }}
  }}
  server {{ listen 127.0.0.1:{short}; keepalive_timeout 20ms; location / {{ return 200 "short\\n"; }} }}
}}
"""
HAPROXY = (
    HAPROXY_DEFAULTS
    + """\
frontend all
  bind 127.0.0.1:{port}
  bind 127.0.0.1:{tls} ssl crt {folder}/server.pem
  http-request return status 413 content-type text/plain string "too much" if {{ path /small }}
  http-request return status 204 if {{ path /none }}
  http-request return status 304 if {{ path /same }}
  http-request return status 404 default-errorfiles if {{ path /away }}
  http-request reject if {{ path /gone }}
  use_backend dead if {{ path /dead }}
  default_backend back
frontend short
  bind 127.0.0.1:{short}
  timeout http-keep-alive 20ms
  http-request return status 200 content-type text/plain string "short"
backend back
  server one 127.0.0.1:{back}
backend dead
  retries 0
  server one 127.0.0.1:{dead}
"""
)


@contextmanager
def origin(kind: str, back: int, folder: Path) -> Iterator[list[str]]:
    """nginx or HAProxy. Yields what our_client.py wants to know of it."""
    program = tool(kind)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    (folder / "www").mkdir()
    (folder / "www" / "trailers.txt").write_text("with trailers\n")
    with (folder / "www" / "big.bin").open("wb") as file:
        file.truncate(1 << 26)
    ports = {name: free_port() for name in ("port", "tls", "short", "dead")}
    config = folder / f"{kind}.cfg"
    config.write_text((NGINX if kind == "nginx" else HAPROXY).format(back=back, folder=folder, **ports))
    arguments = ["-c", str(config), "-p", str(folder)] if kind == "nginx" else ["-db", "-f", str(config)]
    with child([program, *arguments], ports["port"]):
        yield [str(ports["port"]), str(ports["short"]), str(ports["tls"]), str(folder / "ca.pem")]


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["asyncio", *(pytest.param(each, marks=pytest.mark.long) for each in RUNTIMES[1:])])
@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_a_client_before(kind: str, runtime: str, tmp_path: Path) -> None:
    with recorder(runtime, tmp_path) as back, origin(kind, back.port, tmp_path) as arguments:
        command = [sys.executable, "-W", "error", str(CLIENT), runtime, *arguments]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    nginx = kind == "nginx"
    seen = json.loads(done.stdout)
    if nginx:
        del seen["hints"]  # this nginx knows no 103 (1.29 does)
    else:
        assert seen.pop("hints") == [[103], 200]
    assert seen == {
        "many": True,
        "sockets": math.ceil(40 / REQUESTS) if nginx else 1,
        "idle": [200, True],
        "down": [200, 1 << 26],
        "up": [200, 1 << 26],
        "grew": False,
        "trailers": [200, "with trailers\n", {"x-sum": "42"}],
        "continue": [[True], 200, 5],
        "small": [413, 413],
        "head": [200, 0],
        "none": [204, 0],
        "same": [304, 0],
        "pages": [502 if nginx else 503, 404, 200],
        "gone": ["ECONNRESET", "", False],
        "broken": ["ECONNRESET", "half", True],
        "connect": [400, seen["connect"][1]] if nginx else [200, "hello tunnel"],  # nginx is no forward proxy
        "secure": [[200, 1 << 20]] * 3,
        "reused": True,
    }  # fmt: skip
