"""Checksums of station protocols against published check values."""

from __future__ import annotations

import pytest

from devices.codecs.checksums import byte_sum, crc_hj212, crc_modbus, xor_sum

CHECK = b"123456789"


def test_the_two_sixteen_bit_checksums_differ_as_published() -> None:
    assert crc_hj212(CHECK) == 0x2F80
    assert crc_modbus(CHECK) == 0x4B37


def test_hj212_takes_few_values_so_it_proves_little() -> None:
    seen = {crc_hj212(bytes([a, b, c])) for a in range(0, 256, 5) for b in range(0, 256, 5) for c in (0, 77)}
    assert len(seen) == 256


def test_sums() -> None:
    assert byte_sum(b"\xff\x02") == 1
    assert xor_sum(bytes.fromhex("0102000602000000001500 26313639333434")) == 0x39
    assert xor_sum(b"") == 0


@pytest.mark.parametrize("checksum", [crc_hj212, crc_modbus])
def test_nothing_is_the_start_value(checksum: object) -> None:
    assert callable(checksum)
    assert checksum(b"") == 0xFFFF
