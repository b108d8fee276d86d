# Made from examples/node/awaiting/post.py by tools/make_blocking.py; change that one.
"""Send a form and read the answer (http.request(options[, callback])).

Prints:
    STATUS: 200
    HEADERS: {"content-type": "text/plain", ...}
    BODY: msg is Hello World!
    No more data in response.
    problem with request: connect ECONNREFUSED 127.0.0.1:8000
"""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlencode

from anywire.sync import http


def upload(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    form = parse_qs((req.read()).decode())
    res.write_head(200, {"Content-Type": "text/plain"})
    res.end(f"msg is {form['msg'][0]}")


def send() -> None:
    post_data = urlencode({"msg": "Hello World!"}).encode()
    req = http.request(
        hostname="127.0.0.1",
        port=8000,
        path="/upload",
        method="POST",
        headers={"Content-Type": "application/x-www-form-urlencoded", "Content-Length": len(post_data)},
    )
    try:
        # Write data to request body
        req.write(post_data)
        req.end()
        with req as res:
            print(f"STATUS: {res.status_code}")
            print(f"HEADERS: {json.dumps(res.headers)}")
            for chunk in res:
                print(f"BODY: {chunk.decode()}")
            print("No more data in response.")
    except http.AnywireError as error:
        print(f"problem with request: {error.message}")


def main() -> None:
    with http.create_server(upload) as server:
        server.listen(8000, "127.0.0.1")
        send()
    send()  # nobody listens there any more


if __name__ == "__main__":
    main()
