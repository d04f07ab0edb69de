"""The authority that signs devices' client certificates, and the list of those that it revoked.

It is not the authority of `runtime.tls`: that one is installed on phones and may sign for our own host names alone. A device
checks the broker against `ca.pem`, the broker checks a device against `devices-ca.pem`; the common name is the device id, which
Mosquitto takes as the username, so that the one pattern ACL holds for both ways in.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from command_center.device_access import DeviceCertificate

CA_DAYS = 7300  # devices in the field outlive most things; a new authority means a visit to each of them
CRL_DAYS = 3650  # written anew at each revocation; OpenSSL refuses every device once the list itself has expired
BACKDATE = timedelta(days=1)  # a device whose clock is a little behind


class DeviceAuthority:
    """Files in `folder`: `devices-ca.pem` and `devices-ca.key` (0600), made at first use."""

    def __init__(self, folder: Path) -> None:
        self.ca_pem, self._key_file = folder / "devices-ca.pem", folder / "devices-ca.key"

    def ensure(self, now: datetime | None = None) -> None:
        """Make the authority where there is none."""
        if self.ca_pem.exists() and self._key_file.exists():
            return
        at = now or datetime.now(UTC)
        self.ca_pem.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"City Brain devices {at:%Y-%m-%d}")
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(at - BACKDATE)
            .not_valid_after(at + timedelta(days=CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_authority_usage(), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(self._key_file, _key_text(key), 0o600)
        _write(self.ca_pem, certificate.public_bytes(serialization.Encoding.PEM), 0o644)

    def issue(
        self, device_id: str, days: int, *, issued_by: str, now: datetime | None = None
    ) -> tuple[DeviceCertificate, bytes, bytes]:
        """The record, the certificate and the private key (PEM). The key is kept nowhere."""
        self.ensure(now)
        at = (now or datetime.now(UTC)).replace(microsecond=0)
        ca, ca_key = self._load()
        key = ec.generate_private_key(ec.SECP256R1())
        serial = x509.random_serial_number()
        until = min(at + timedelta(days=days), ca.not_valid_after_utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(device_id))
            .issuer_name(ca.subject)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(at - BACKDATE)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        record = DeviceCertificate(
            serial=f"{serial:x}",
            device_id=device_id,
            issued_machine_us=_us(at),
            expires_machine_us=_us(until),
            issued_by=issued_by,
        )
        return record, certificate.public_bytes(serialization.Encoding.PEM), _key_text(key)

    def revocation_list(self, revoked: Iterable[DeviceCertificate], *, now: datetime | None = None) -> bytes:
        """The list that Mosquitto reads again on SIGHUP (PEM)."""
        self.ensure(now)
        at = (now or datetime.now(UTC)).replace(microsecond=0)
        ca, ca_key = self._load()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(ca.subject)
            .last_update(at - BACKDATE)
            .next_update(at + timedelta(days=CRL_DAYS))
        )
        for one in revoked:
            when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=one.revoked_machine_us or _us(at))
            entry = x509.RevokedCertificateBuilder().serial_number(int(one.serial, 16)).revocation_date(when)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _load(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = serialization.load_pem_private_key(self._key_file.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self._key_file} holds {type(key).__name__}, expected an elliptic-curve key")
        return x509.load_pem_x509_certificate(self.ca_pem.read_bytes()), key


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _authority_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _key_text(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _us(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000


def _write(path: Path, content: bytes, mode: int) -> None:
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    fresh.replace(path)
