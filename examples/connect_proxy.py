"""A forward proxy with CONNECT, and a client that speaks through it: first as on Node's page, then with an Agent."""

from __future__ import annotations

import asyncio
from typing import Any

from anywire.asyncio import http


async def tunnel(req: http.IncomingMessage, client: http.Socket, head: bytes) -> None:
    """The proxy's side: join the client with whom it asked for. For real use, check first whom it may reach."""
    host, _, port = req.url.rpartition(":")
    async with client:
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
        except (OSError, ValueError):
            await client.send("HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            return
        await client.send("HTTP/1.1 200 Connection Established\r\nProxy-Agent: anywire\r\n\r\n")
        writer.write(head)
        going = asyncio.create_task(forth(client, writer))
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


async def forth(client: http.Socket, writer: asyncio.StreamWriter) -> None:
    async for data in client:
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def okay(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    await res.end(f"okay, {req.url}")


async def main() -> None:
    async with http.create_server(okay) as origin, http.create_server() as proxy:
        proxy.on("connect", tunnel)
        await origin.listen(0, "127.0.0.1")
        await proxy.listen(0, "127.0.0.1")
        here, there = proxy.address(), origin.address()
        assert isinstance(here, tuple) and isinstance(there, tuple)

        async def through_proxy(options: dict[str, Any]) -> http.Socket:
            target = f"{options['host']}:{options['port']}"
            req = http.request(host=here[0], port=here[1], method="CONNECT", path=target)
            message, socket, _ = await req.upgraded()
            print("CONNECT", message.status_code, message.headers.get("proxy-agent"))
            return socket

        async with await through_proxy({"host": there[0], "port": there[1]}) as socket:
            await socket.send(f"GET /by/hand HTTP/1.1\r\nHost: {there[0]}\r\nConnection: close\r\n\r\n")
            lines = b"".join([data async for data in socket]).decode().splitlines()
            print(lines[0], "…", lines[-1])

        async with http.Agent(keep_alive=True, create_connection=through_proxy) as agent:
            for path in ("/one", "/two"):  # both through one tunnel
                async with http.get(f"http://{there[0]}:{there[1]}{path}", agent=agent) as res:
                    print(res.status_code, (await res.read()).decode())


if __name__ == "__main__":
    asyncio.run(main())
