"""Checksums of station protocols.

`crc_hj212` is the algorithm of HJ 212-2017 Annex A (the same in 2005 and 2025). It keeps only the register's high byte at
each step, so it takes 256 of 65,536 values: every single wrong byte is caught, one in 256 of the wider corruptions is not.
`crc_modbus` is CRC-16/MODBUS (SL 651-2014; also what careless HJ 212 stations compute).
"""

from __future__ import annotations

from functools import reduce
from operator import xor

_POLYNOMIAL = 0xA001


def _table() -> tuple[int, ...]:
    entries = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ _POLYNOMIAL if value & 1 else value >> 1
        entries.append(value)
    return tuple(entries)


_TABLE = _table()


def crc_hj212(data: bytes) -> int:
    """16 bits; printed as four hex digits, high byte first. `b"123456789"` gives 0x2F80 (MODBUS would give 0x4B37)."""
    crc = 0xFFFF
    for byte in data:
        # HJ 212: the byte meets the register's HIGH byte alone; the low one is lost, where MODBUS keeps the high one.
        crc = _shifted_eight((crc >> 8) ^ byte)
    return crc


def _shifted_eight(value: int) -> int:
    return _TABLE[value & 0xFF] ^ (value >> 8)


def crc_modbus(data: bytes) -> int:
    """CRC-16/MODBUS: polynomial 0xA001 (reflected 0x8005), start 0xFFFF. `b"123456789"` gives 0x4B37."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def xor_sum(data: bytes) -> int:
    """All bytes exclusive-or'ed (JT/T 808)."""
    return reduce(xor, data, 0)


def byte_sum(data: bytes) -> int:
    """Low eight bits of the sum (GB/T 26875.3)."""
    return sum(data) & 0xFF
