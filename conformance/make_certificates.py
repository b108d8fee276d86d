"""Make the certificates of the https cases anew: ``python conformance/make_certificates.py`` (needs ``cryptography``).

They are good for a hundred years, so this is only needed when another one is. The keys are no secret: they protect
nothing. Ed25519, because its signatures have one length, and a run in the sim is then the same to the byte's number.
"""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FOLDER = Path(__file__).parent / "certificates"
FROM, UNTIL = datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)

ISSUED = {
    "localhost": ["localhost", "127.0.0.1"],
    "other": ["other.test"],
    "client": ["client"],
}
"""Certificates by the authority, and whom they are for."""


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    name: str,
    names: list[str],
    key: Ed25519PrivateKey,
    issuer: tuple[str, Ed25519PrivateKey],
    until: datetime = UNTIL,
) -> x509.Certificate:
    by, signing = issuer
    authority = not names
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(by))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(FROM)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not authority,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=authority or issuer[1] is key,  # else it counts as its own issuer nowhere
                crl_sign=authority,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if names:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        held = [x509.IPAddress(ip_address(each)) if each[0].isdigit() else x509.DNSName(each) for each in names]
        builder = builder.add_extension(usage, critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(held), critical=False)
    return builder.sign(signing, None)


def _write(name: str, certificate: x509.Certificate, key: Ed25519PrivateKey | None) -> None:
    text = certificate.public_bytes(Encoding.PEM)
    if key is not None:
        text += key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (FOLDER / f"{name}.pem").write_bytes(text)


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(exist_ok=True)
    for authority in ("authority", "stranger"):
        root = Ed25519PrivateKey.generate()
        issuer = (authority, root)
        _write(authority, _certificate(authority, [], root, issuer), None)
        if authority == "stranger":
            key = Ed25519PrivateKey.generate()
            _write("strange", _certificate("strange", ISSUED["localhost"], key, issuer), key)
            continue
        for name, names in ISSUED.items():
            key = Ed25519PrivateKey.generate()
            _write(name, _certificate(name, names, key, issuer), key)
        key = Ed25519PrivateKey.generate()
        expired = _certificate("expired", ISSUED["localhost"], key, issuer, datetime(2020, 1, 2, tzinfo=UTC))
        _write("expired", expired, key)
    key = Ed25519PrivateKey.generate()
    chain = (FOLDER / "localhost.pem").read_bytes() + (FOLDER / "authority.pem").read_bytes()
    (FOLDER / "chain.pem").write_bytes(chain)
    _write("self-signed", _certificate("self-signed", ISSUED["localhost"], key, ("self-signed", key)), key)


if __name__ == "__main__":
    main()
