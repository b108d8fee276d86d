"""All that is said about exchanges that fail and carry secrets: ``teller.py RUNTIME``. None of it may hold the word.

Written once: in the blocking colour nothing it awaits ever suspends.
"""

from __future__ import annotations

import importlib
import pickle
import socket
import sys
import traceback
from functools import partial
from typing import Any

from on_runtime import run

from anywire.conformance.backends import settle

runtime = sys.argv[1]
say = partial(print, flush=True)
WORD = "hun" + "ter2"
"""Not in one piece: a traceback shows lines of this file."""
http: Any = importlib.import_module(f"anywire.{runtime}.http")
https: Any = importlib.import_module(f"anywire.{runtime}.https")


refused: list[Any] = []


def refuse(error: Any, stream: Any) -> None:
    say(repr(error), str(error), error.excerpt)
    stream.destroy()
    refused.append(error)


def broken(req: Any, res: Any) -> None:
    say(repr(req), repr(res), repr(req.socket))
    raise RuntimeError("it broke")


async def tell(make: Any) -> None:
    """Do it, and tell of it all that a log would."""
    try:
        req = make()
        say(repr(req), repr(req.agent), list(getattr(req.agent, "requests", ())))
        await settle(req.end(f"BODY: {WORD}"))
        res = await settle(req.response())
        say(res.status_code, repr(res), await settle(res.read()))
    except Exception as error:
        say(repr(error), str(error), *traceback.format_exception(error))
        say(repr(pickle.loads(pickle.dumps(error))))


async def scenario(port: int) -> None:
    secrets = {
        "Authorization": f"Bearer {WORD}", "Proxy-Authorization": f"Basic {WORD}", "Cookie": f"session={WORD}",
        "X-Api-Key": WORD,
    }  # fmt: skip
    base = f"http://user:{WORD}@127.0.0.1:{port}"
    with socket.socket() as closed:  # nobody listens there
        closed.bind(("127.0.0.1", 0))
        nobody = closed.getsockname()[1]
        await tell(lambda: http.request(f"{base}/a%1b?token={WORD}", method="POST", headers=secrets))
        await tell(lambda: http.request(f"http://user:{WORD}@127.0.0.1:{nobody}/?token={WORD}", method="POST"))
        await tell(lambda: http.request(f"http://user:{WORD}@no one/"))
        await tell(lambda: http.request(f"http://user:{WORD}@h:port/"))
        await tell(lambda: http.request(base, auth=f"user:{WORD}\r\nX: y"))
        for name in secrets:
            await tell(lambda name=name: http.request(base, headers={name: f"{WORD}\r\nX: y"}))
            await tell(lambda name=name: http.request(base, headers={name: f"{WORD}\u0100"}))
            await tell(lambda name=name: http.request(base, headers={name: WORD.encode()}))
        key = f"-----BEGIN PRIVATE KEY-----\n{WORD * 40}\n-----END PRIVATE KEY-----\n"
        for options in ({"key": key, "cert": key, "passphrase": WORD}, {"pfx": WORD.encode(), "passphrase": WORD}):
            await tell(lambda options=options: https.request(f"https://127.0.0.1:{port}/", **options))
    agent = https.Agent(passphrase=WORD, keep_alive=True)
    say(repr(agent), agent.get_name({"host": "h", "port": 443, "key": key, "passphrase": WORD}))
    for line in (f"Authorization: Basic {WORD}\0", f"Cookie: {WORD}\x1b[31m", "X-Name: a\x1b[31mb"):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(f"GET / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\nGET /{WORD} HTTP/1.1\r\n".encode())
            while await settle(pause(0.01)) or not refused:
                pass
            refused.clear()


def pause(seconds: float) -> Any:
    return importlib.import_module("time" if runtime == "sync" else runtime).sleep(seconds)


async def main() -> None:
    server = http.create_server(broken)
    server.grace = 0.0
    server.on("client_error", refuse)
    if runtime in ("sync", "gevent"):
        with server:
            server.listen(0, "127.0.0.1")
            await scenario(server.address()[1])
    else:
        async with server:
            await server.listen(0, "127.0.0.1")
            await scenario(server.address()[1])


run(runtime, main)
