"""Certificates of receivers, right ones and wrong ones."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY: Final = timedelta(days=1)
OURS: Final = "the authority"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Who signs, and a client's context that believes it and nobody else."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    client: ssl.SSLContext


@cache
def authority(name: str) -> Authority:
    key, subject = _key(), _named(name)
    certificate = (
        _builder(subject, subject, key, begins=-DAY, ends=DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    client = ssl.create_default_context(cadata=certificate.public_bytes(serialization.Encoding.PEM).decode())
    return Authority(certificate=certificate, key=key, client=client)


def server_context(
    directory: Path,
    *,
    names: Sequence[str],
    common_name: str = "receiver",
    begins: timedelta = -DAY,
    ends: timedelta = DAY,
    by: str | None = OURS,
) -> ssl.SSLContext:
    """Return the context of a server with this certificate; signed by itself where nobody signs it."""
    key, subject = _key(), _named(common_name)
    issuer = subject if by is None else authority(by).certificate.subject
    builder = _builder(subject, issuer, key, begins=begins, ends=ends)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
    certificate = builder.sign(key if by is None else authority(by).key, hashes.SHA256())
    pem = directory / "receiver.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(name[3:])) if name.startswith("ip:") else x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, begins: timedelta, ends: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
    )
