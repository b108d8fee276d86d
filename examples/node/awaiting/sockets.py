"""Both ends of a connection (request.socket; response.socket).

Prints:
    Your IP address is 127.0.0.1 and your source port is ...
    and the server says the same: True
"""

from __future__ import annotations

import asyncio

from anywire.asyncio import http


async def who(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    ip = res.socket.remote_address
    port = res.socket.remote_port
    await res.end(f"Your IP address is {ip} and your source port is {port}.")


async def main() -> None:
    async with http.create_server(who) as server:
        await server.listen(8000, "127.0.0.1")
        req = http.get(host="127.0.0.1", port=8000)
        async with req as res:
            ip = req.socket.local_address
            port = req.socket.local_port
            text = f"Your IP address is {ip} and your source port is {port}."
            print(text)
            print("and the server says the same:", (await res.read()).decode() == text)


if __name__ == "__main__":
    asyncio.run(main())
