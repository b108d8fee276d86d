"""https with a certificate made on the fly, and what a client that does not trust it sees."""

from __future__ import annotations

import asyncio
import importlib.util

from anywire.asyncio import https


async def hello(req: https.IncomingMessage, res: https.ServerResponse) -> None:
    tls = req.socket.ssl_object
    await res.end(f"hello over {tls.version()}")


async def main() -> None:
    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    cert = b"".join(pem.bytes() for pem in issued.cert_chain_pems).decode()  # PEM text, or the name of a file
    key = issued.private_key_pem.bytes().decode()

    async with https.create_server(hello, cert=cert, key=key) as server:
        server.on("tls_client_error", lambda error, socket: print("server:", type(error).__name__))
        await server.listen(0, "127.0.0.1")
        address = server.address()
        assert isinstance(address, tuple)
        url = f"https://127.0.0.1:{address[1]}/"

        async with https.get(url, ca=authority.cert_pem.bytes().decode()) as res:
            print("client:", res.status_code, await res.read(), "verified:", res.socket.authorized)
        try:
            async with https.get(url) as res:  # by default, whom the system trusts
                print("client:", res.status_code)
        except https.TLSError as error:  # a ConnectError, and so an OSError
            print("client:", error.code)


if __name__ == "__main__":
    if importlib.util.find_spec("trustme") is None:
        print("this example makes its certificate with trustme: pip install trustme")
    else:
        asyncio.run(main())
