# Made from examples/node/awaiting/information.py by tools/make_blocking.py; change that one.
"""Interim answers before the main one (Event: 'information'; response.writeContinue(); response.writeProcessing()).

Prints:
    Got information prior to main response: 100 Continue
    Got information prior to main response: 102 Processing
    Got information prior to main response: 103 Early Hints
    200 done
"""

from __future__ import annotations

from anywire.sync import http


def length_request(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    res.write_continue()
    res.write_processing()
    res.write_early_hints({"Link": "</style.css>; rel=preload"})
    res.end("done")


def main() -> None:
    with http.create_server(length_request) as server:
        server.listen(8000, "127.0.0.1")

        # Make a request
        req = http.request(host="127.0.0.1", port=8000, path="/length_request")

        @req.on("information")
        def information(info: http.IncomingMessage) -> None:
            print(f"Got information prior to main response: {info.status_code} {info.status_message}")

        req.end()
        with req as res:
            print(res.status_code, (res.read()).decode())


if __name__ == "__main__":
    main()
