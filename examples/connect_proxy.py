"""A forward proxy with CONNECT, and a client that speaks through it: first as on Node's page, then with an Agent."""

from __future__ import annotations

import asyncio
from typing import Any

from anywire.asyncio import http


async def tunnel(req: http.IncomingMessage, client: http.Socket, head: bytes) -> None:
    """The proxy's side: join the client with whom it asked for. Add a check of the address for real use."""
    async with client:
        host, _, port = req.url.rpartition(":")
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
        except (OSError, ValueError):
            await client.send("HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            return
        await client.send("HTTP/1.1 200 Connection Established\r\nProxy-Agent: anywire\r\n\r\n")
        writer.write(head)

        async def forth() -> None:
            async for data in client:
                writer.write(data)
                await writer.drain()
            writer.write_eof()

        going = asyncio.create_task(forth())
        try:
            while data := await reader.read(65536):
                await client.send(data)
            await client.send_eof()
            await going
        except ConnectionError:
            pass  # one end broke; the other learns of it by the close
        finally:
            going.cancel()
            writer.close()


async def okay(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    await res.end(f"okay, {req.url}")


def port_of(server: http.Server) -> int:
    address = server.address()
    assert isinstance(address, tuple)
    return address[1]


async def main() -> None:
    async with http.create_server(okay) as origin, http.create_server() as proxy:
        proxy.on("connect", tunnel)
        await origin.listen(0, "127.0.0.1")
        await proxy.listen(0, "127.0.0.1")
        target = f"127.0.0.1:{port_of(origin)}"

        async def through_proxy(options: dict[str, Any]) -> http.Socket:
            where = f"{options['host']}:{options['port']}"
            req = http.request(host="127.0.0.1", port=port_of(proxy), method="CONNECT", path=where)
            message, socket, _ = await req.upgraded()
            print("CONNECT", message.status_code, message.headers.get("proxy-agent"))
            return socket

        async with await through_proxy({"host": "127.0.0.1", "port": port_of(origin)}) as socket:
            await socket.send(f"GET /by/hand HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n")
            answer = b"".join([data async for data in socket])
            print(answer.splitlines()[0].decode(), "…", answer.splitlines()[-1].decode())

        async with http.Agent(keep_alive=True, create_connection=through_proxy) as agent:
            for path in ("/one", "/two"):  # both through one tunnel
                async with http.get(f"http://{target}{path}", agent=agent) as res:
                    print(res.status_code, (await res.read()).decode())


if __name__ == "__main__":
    asyncio.run(main())
