"""nginx and HAProxy that give each request a number before they forward it, and log what they took it for.

A front stands before several servers at once: one port for each.
"""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .real import child, free_port, tool

__all__ = ["KINDS", "Forwarded", "logging_front", "read_log"]

KINDS = ("nginx", "nginx unbuffered", "haproxy", "haproxy buffered")

NGINX = """\
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 512; }}
http {{
  log_format seen escape=json
    '{{"id":"$request_id","method":"$request_method","url":"$request_uri","body":"$request_body",'
    '"upstream":"$upstream_status","status":$status}}';
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  client_header_timeout 1s; client_body_timeout 1s; keepalive_timeout 1s; lingering_timeout 100ms;
  client_body_buffer_size 4m; client_body_in_single_buffer on; large_client_header_buffers 4 32k;
  underscores_in_headers on; merge_slashes off;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
  proxy_set_header X-Front-Id $request_id; proxy_next_upstream off;
  proxy_request_buffering {buffering}; proxy_buffering {buffering};
{servers}
}}
"""
NGINX_SERVER = """\
  upstream {name} {{ server 127.0.0.1:{back}; keepalive 8; }}
  server {{ listen 127.0.0.1:{port}; access_log {folder}/{name}.log seen; location / {{ proxy_pass http://{name}; }} }}
"""
# One thread: of several that log at once to stdout a line is lost now and then.
HAPROXY = """\
global
  maxconn 512
  nbthread 1
  tune.bufsize 65536
defaults
  mode http
  timeout client 2s
  timeout http-request 1s
  timeout http-keep-alive 1s
  timeout connect 5s
  timeout server 5s
  retries 0
  http-reuse always
{servers}
"""
HAPROXY_SERVER = """\
frontend {name}
  bind 127.0.0.1:{port}
  log stdout len 65535 format raw local0
  log-format "{name} %[var(txn.id)] %HM %[var(txn.url)] %[var(txn.body)] %s %ST"
  {buffering}option http-buffer-request
  http-request set-var(txn.id) uuid()
  http-request set-var(txn.url) url,hex
  {buffering}http-request set-var(txn.body) req.body,hex
  http-request set-header X-Front-Id %[var(txn.id)]
  default_backend {name}
backend {name}
  server one 127.0.0.1:{back}
"""


@dataclass(slots=True)
class Forwarded:
    """A request that a front forwarded.

    Attributes:
        method: as the front took it.
        url: likewise.
        body: likewise; None if it forwarded it before it had it, or logged none.
        status: of the answer that it gave its client.
    """

    method: str
    url: str
    body: bytes | None
    status: int


@contextlib.contextmanager
def logging_front(kind: str, backs: Mapping[str, int], folder: Path) -> Iterator[dict[str, int]]:
    """A front before each of `backs`. Yields the ports of the front by the same names; the log is whole afterwards."""
    program, _, how = kind.partition(" ")
    found = tool(program)
    ports = {name: free_port() for name in backs}
    server, form = (NGINX_SERVER, NGINX) if program == "nginx" else (HAPROXY_SERVER, HAPROXY)
    buffering = ("off" if how else "on") if program == "nginx" else ("" if how else "# ")
    servers = "".join(
        server.format(name=name, back=back, port=ports[name], folder=folder, buffering=buffering)
        for name, back in backs.items()
    )
    config = folder / f"{program}.cfg"
    config.write_text(form.format(servers=servers, folder=folder, buffering=buffering))
    arguments = ["-c", str(config), "-p", str(folder)] if program == "nginx" else ["-db", "-f", str(config)]
    # HAProxy logs when all is over, which may be after its client has read the end: let it finish.
    end = signal.SIGUSR1 if program == "haproxy" else signal.SIGTERM
    with (folder / "stdout").open("wb") as log, child([found, *arguments], ports[next(iter(ports))], log, end):
        yield ports


def read_log(kind: str, name: str, folder: Path) -> dict[str, Forwarded]:
    """Each request that was forwarded, by its number."""
    found: dict[str, Forwarded] = {}
    if kind.startswith("nginx"):
        for line in (folder / f"{name}.log").read_text("latin-1").splitlines():
            each = json.loads(line)
            if each["upstream"]:
                body = each["body"].encode("latin-1") if kind == "nginx" else None
                url = each["url"] if each["url"].startswith("/") else "/" + each["url"]  # of "http://h?a" it logs "?a"
                found[each["id"]] = Forwarded(each["method"], url, body, each["status"])
        return found
    for line in (folder / "stdout").read_text("latin-1").splitlines():
        if line.startswith(f"{name} "):
            _, number, method, url, body_hex, server, status = line.split(" ")
            if server == "one" and number != "-":
                body = None if kind == "haproxy" else bytes.fromhex(body_hex.strip("-"))
                found[number] = Forwarded(method, bytes.fromhex(url).decode("latin-1"), body, int(status))
    return found
