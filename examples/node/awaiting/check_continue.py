"""A body that is sent when the server says so (Events: 'checkContinue', 'continue', 'checkExpectation').

Prints:
    500 bytes: continue
    200 500 bytes came
    5000 bytes: 413 too much
    417 nobody knows what 200-maybe means
"""

from __future__ import annotations

import asyncio

from anywire.asyncio import http


async def check_continue(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    if int(str(req.headers["content-length"])) > 1000:
        res.write_head(413)
        await res.end("too much")
        return
    await res.write_continue()
    await res.end(f"{len(await req.read())} bytes came")


async def check_expectation(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    res.write_head(417)
    await res.end(f"nobody knows what {req.headers['expect']} means")


async def upload(size: int) -> None:
    print(f"{size} bytes: ", end="")
    headers = {"Expect": "100-continue", "Content-Length": size}
    req = http.request("http://127.0.0.1:8000/", method="PUT", headers=headers)

    @req.on("continue")
    def send() -> None:
        print("continue")
        req.end_nowait(bytes(size))

    await req.flush_headers()
    async with req as res:
        print(res.status_code, (await res.read()).decode())


async def main() -> None:
    async with http.create_server() as server:
        server.on("check_continue", check_continue)
        server.on("check_expectation", check_expectation)
        await server.listen(8000, "127.0.0.1")
        await upload(500)
        await upload(5000)
        async with http.get("http://127.0.0.1:8000/", headers={"Expect": "200-maybe"}) as res:
            print(res.status_code, (await res.read()).decode())


if __name__ == "__main__":
    asyncio.run(main())
