# Made from examples/node/awaiting/get_json.py by tools/make_blocking.py; change that one.
"""Fetch JSON, with a look at status and type first (http.get(options[, callback])).

Prints:
    {'version': 'v13.14.0', 'lts': False}
    Request Failed.
    Status Code: 404
    Invalid content-type.
    Expected application/json but received text/html
    Expecting value: line 1 column 1 (char 0)
    Got error: connect ECONNREFUSED 127.0.0.1:8000
"""

from __future__ import annotations

import json
import re

from anywire.sync import http

PAGES = {
    "/index.json": ("application/json; charset=utf-8", '{"version": "v13.14.0", "lts": false}'),
    "/index.html": ("text/html", "<!doctype html>"),
    "/broken.json": ("application/json", "<!doctype html>"),
}


def index(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    if req.url not in PAGES:
        res.write_head(404)
        res.end()
        return
    kind, text = PAGES[req.url]
    res.write_head(200, {"Content-Type": kind})
    res.end(text)


def fetch(url: str) -> None:
    try:
        with http.get(url) as res:
            content_type = str(res.headers.get("content-type"))
            if res.status_code != 200:
                # Leaving the block consumes what is left of the response.
                print(f"Request Failed.\nStatus Code: {res.status_code}")
            elif not re.match(r"application/json", content_type):
                print(f"Invalid content-type.\nExpected application/json but received {content_type}")
            else:
                raw_data = b""
                for chunk in res:
                    raw_data += chunk
                try:
                    print(json.loads(raw_data))
                except ValueError as error:
                    print(error)
    except http.AnywireError as error:
        print(f"Got error: {error.message}")


def main() -> None:
    with http.create_server(index) as server:
        server.listen(8000, "127.0.0.1")
        url = "http://127.0.0.1:8000"
        for path in ("/index.json", "/nothing.json", "/index.html", "/broken.json"):
            fetch(url + path)
    fetch(f"{url}/index.json")  # nobody listens there any more


if __name__ == "__main__":
    main()
