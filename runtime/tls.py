"""HTTPS from the first day: a local certificate authority and a server certificate signed by it.

Phones give no position without HTTPS. The page that installs `ca.pem` on a phone is the web's; this module makes the files.
The authority may only sign for the names and addresses it was made for (name constraints), so that a stolen key is no use
against other sites; a new host name makes a new authority.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LEAF_DAYS = 397  # the longest that Apple's platforms accept, https://support.apple.com/en-us/102028
CA_DAYS = 3650
RENEW_BEFORE = timedelta(days=30)
BACKDATE = timedelta(days=1)  # a phone whose clock is a little behind


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Files in PEM form; `key_pem` has mode 0600."""

    ca_pem: Path
    cert_pem: Path
    key_pem: Path


def ensure_certificates(data_dir: Path, hosts: Sequence[str], *, now: datetime | None = None) -> Certificates:
    """The server's certificates for `hosts` (names and addresses), made or renewed where needed, kept in `data_dir/tls`.

    A certificate is renewed 30 days before it ends; the authority only when it ends or when `hosts` has a new entry (phones
    must then install it again). `now` is machine time; certificates know no city time.
    """
    if not hosts:
        raise ValueError("no host to make a certificate for, expected at least one name or address")
    at = now or datetime.now(UTC)
    folder = data_dir / "tls"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = Certificates(ca_pem=folder / "ca.pem", cert_pem=folder / "server.pem", key_pem=folder / "server.key")
    names = [_general_name(host) for host in dict.fromkeys(hosts)]
    ca_key_file = folder / "ca.key"
    if not _covers(files.ca_pem, names, at, authority=True) or not ca_key_file.exists():
        _make_authority(files.ca_pem, ca_key_file, names, at)
        files.cert_pem.unlink(missing_ok=True)
    if not _covers(files.cert_pem, names, at, authority=False) or not files.key_pem.exists():
        _make_leaf(files, ca_key_file, names, at)
    return files


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _constraint(name: x509.GeneralName) -> x509.GeneralName:
    """A name as a subtree of name constraints: addresses need a network there (RFC 5280, 4.2.1.10)."""
    if isinstance(name, x509.IPAddress):
        return x509.IPAddress(ipaddress.ip_network(str(name.value)))
    return name


def _constraints(names: Sequence[x509.GeneralName]) -> list[x509.GeneralName]:
    """Always with one address and one name: a kind of name that is not mentioned at all would be unrestricted."""
    own = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    return [_constraint(name) for name in dict.fromkeys([*names, *own])]


def _covers(pem: Path, names: Sequence[x509.GeneralName], at: datetime, *, authority: bool) -> bool:
    """Whether the certificate in `pem` is there, lasts long enough and is good for every name."""
    if not pem.exists():
        return False
    certificate = x509.load_pem_x509_certificates(pem.read_bytes())[0]
    if certificate.not_valid_after_utc - at < RENEW_BEFORE or at < certificate.not_valid_before_utc:
        return False
    if authority:
        allowed = certificate.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
        return all(_constraint(name) in allowed for name in names)
    held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(held) == set(names)


def _builder(
    subject: str, issuer: x509.Name | None, key: ec.EllipticCurvePublicKey, at: datetime, days: int
) -> x509.CertificateBuilder:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer or name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - BACKDATE)
        .not_valid_after(at - BACKDATE + timedelta(days=days))
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _make_authority(pem: Path, key_file: Path, names: Sequence[x509.GeneralName], at: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(f"City Brain local CA {at:%Y-%m-%d}", None, key.public_key(), at, CA_DAYS)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.NameConstraints(_constraints(names), None), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write_key(key_file, key)
    _replace(pem, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _make_leaf(files: Certificates, ca_key_file: Path, names: Sequence[x509.GeneralName], at: datetime) -> None:
    ca = x509.load_pem_x509_certificate(files.ca_pem.read_bytes())
    ca_key = serialization.load_pem_private_key(ca_key_file.read_bytes(), password=None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{ca_key_file} holds {type(ca_key).__name__}, expected an elliptic-curve key")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("City Brain", ca.subject, key.public_key(), at, LEAF_DAYS)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write_key(files.key_pem, key)
    chain = certificate.public_bytes(serialization.Encoding.PEM) + ca.public_bytes(serialization.Encoding.PEM)
    _replace(files.cert_pem, chain, 0o644)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _replace(path, pem, 0o600)


def _replace(path: Path, content: bytes, mode: int) -> None:
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    fresh.replace(path)
