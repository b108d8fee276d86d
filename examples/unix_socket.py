"""A server on a Unix socket, for peers on the same machine only."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from anywire.asyncio import http


async def hello(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    await res.end(f"hello {req.url}")


async def serve_and_fetch(path: str) -> None:
    async with http.create_server(hello) as server:
        await server.listen(path=path)
        print("listening:", server.address() == path)
        async with http.get(socket_path=path, path="/status") as res:
            print(res.status_code, await res.read())
    try:
        async with http.get(socket_path=path) as res:
            print(res.status_code)
    except http.ConnectError as error:  # this one is a FileNotFoundError, too: the server took its file away
        print(error.code, isinstance(error, FileNotFoundError))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(serve_and_fetch(str(Path(folder) / "app.sock")))
