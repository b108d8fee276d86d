"""A server on a Unix socket, for peers on the same machine only."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from anywire.asyncio import http
from anywire.core import ConnectError


async def hello(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    await res.end(f"hello {req.url}")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "app.sock")
        async with http.create_server(hello) as server:
            await server.listen(path=path)
            print("listening:", server.address() == path)
            async with http.get(socket_path=path, path="/status") as res:
                print(res.status_code, await res.read())
        print("the file is gone:", not Path(path).exists())
        try:
            async with http.get(socket_path=path) as res:
                print(res.status_code)
        except ConnectError as error:  # this one is a FileNotFoundError, too
            print(error.code, isinstance(error, FileNotFoundError))


if __name__ == "__main__":
    asyncio.run(main())
