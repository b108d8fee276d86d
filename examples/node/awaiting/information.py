"""Interim answers before the main one (Event: 'information'; response.writeContinue(); response.writeProcessing()).

Prints:
    Got information prior to main response: 100 Continue
    Got information prior to main response: 102 Processing
    Got information prior to main response: 103 Early Hints
    200 done
"""

from __future__ import annotations

import asyncio

from anywire.asyncio import http


async def length_request(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    await res.write_continue()
    await res.write_processing()
    await res.write_early_hints({"Link": "</style.css>; rel=preload"})
    await res.end("done")


async def main() -> None:
    async with http.create_server(length_request) as server:
        await server.listen(8000, "127.0.0.1")

        # Make a request
        req = http.request(host="127.0.0.1", port=8000, path="/length_request")

        @req.on("information")
        def information(info: http.IncomingMessage) -> None:
            print(f"Got information prior to main response: {info.status_code} {info.status_message}")

        await req.end()
        async with req as res:
            print(res.status_code, (await res.read()).decode())


if __name__ == "__main__":
    asyncio.run(main())
