"""The local certificate authority."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from runtime.tls import LEAF_DAYS, ensure_certificates

NOW = datetime(2026, 8, 1, tzinfo=UTC)
HOSTS = ["127.0.0.1", "hall.example"]


def load(pem: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificates(pem.read_bytes())[0]


def test_the_leaf_is_signed_by_the_authority_for_every_host(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path, HOSTS, now=NOW)
    leaf, ca = load(files.cert_pem), load(files.ca_pem)
    leaf.verify_directly_issued_by(ca)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == HOSTS
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=LEAF_DAYS)
    assert files.key_pem.stat().st_mode & 0o777 == 0o600


def test_the_authority_may_sign_for_nothing_else(tmp_path: Path) -> None:
    ca = load(ensure_certificates(tmp_path, ["10.1.2.3"], now=NOW).ca_pem)
    constraints = ca.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    allowed = [str(tree.value) for tree in constraints.value.permitted_subtrees or []]
    assert allowed == ["10.1.2.3/32", "127.0.0.1/32", "localhost"]


def test_nothing_is_made_anew_without_need(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path, HOSTS, now=NOW)
    before = files.cert_pem.read_bytes()
    assert ensure_certificates(tmp_path, HOSTS, now=NOW + timedelta(days=300)).cert_pem.read_bytes() == before


def test_a_leaf_near_its_end_is_renewed_under_the_same_authority(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path, HOSTS, now=NOW)
    before, ca = files.cert_pem.read_bytes(), files.ca_pem.read_bytes()
    ensure_certificates(tmp_path, HOSTS, now=NOW + timedelta(days=380))
    assert files.ca_pem.read_bytes() == ca, "phones have installed it"
    assert files.cert_pem.read_bytes() != before


def test_a_new_host_makes_a_new_authority_and_a_dropped_one_does_not(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path, HOSTS, now=NOW)
    ca = files.ca_pem.read_bytes()
    ensure_certificates(tmp_path, HOSTS[:1], now=NOW)
    assert files.ca_pem.read_bytes() == ca
    ensure_certificates(tmp_path, ["other.example"], now=NOW)
    assert files.ca_pem.read_bytes() != ca
    load(files.cert_pem).verify_directly_issued_by(load(files.ca_pem))


def test_no_host_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        ensure_certificates(tmp_path, [], now=NOW)
