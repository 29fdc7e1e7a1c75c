"""Extended reports (RFC 3611): loss run lengths, receipt times, receiver reference time and its echo, statistics, VoIP
metrics.

Parsers return a value or raise ProtocolError. Blocks of other types, and known ones of a wrong length, are ignored.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from voip.errors import ProtocolError
from voip.stats import GMIN, Arrivals

MAX_SPAN = 4096
"""Packets covered by the longest loss RLE block that is accepted: ten seconds of the fastest stream."""
UNKNOWN = 127
"""Value of an unknown level, R factor or MOS in the VoIP metrics (RFC 3611 section 4.7)."""
R_RANGE, MOS_RANGE = range(101), range(10, 51)
"""Valid R factors and tenths of MOS (RFC 3611 section 4.7.5)."""

_BLOCK_HEADER = struct.Struct("!BBH")
_SSRC = struct.Struct("!I")
_SPAN = struct.Struct("!IHH")
_NTP = struct.Struct("!Q")
_ECHO = struct.Struct("!III")
_SUMMARY = struct.Struct("!IHHIIIIII4B")
_METRICS = struct.Struct("!I4BHHHH4B4BBBHHH")
_WORD = 4
_BITS = 15  # packets in a bit vector chunk
_MAX_RUN = (1 << 14) - 1
_VECTOR, _RUN_OF_ONES = 0x8000, 0x4000
_MIN_RUN = 2 * _BITS  # a run takes one chunk, as bit vectors it would take more than two
_CONCEALS, _ADAPTS = 3 << 6, 3 << 4  # standard concealment, adaptive jitter buffer (RFC 3611 section 4.7.6)


@dataclass(frozen=True)
class LossRle:
    """Which packets from `begin` up to but excluding `end` arrived (section 4.1), in 16-bit chunks as on the wire."""

    TYPE: ClassVar[int] = 1
    ssrc: int
    begin: int
    end: int
    chunks: tuple[int, ...]
    thinning: int = 0

    @classmethod
    def of(cls, ssrc: int, arrivals: Arrivals) -> LossRle:
        """The block for these packets."""
        end = (arrivals.first + len(arrivals.flags)) & 0xFFFF
        return cls(ssrc, arrivals.first & 0xFFFF, end, _fold(arrivals.flags))

    def arrivals(self) -> Arrivals | None:
        """The packets one by one; None if the block is thinned, too long, or does not cover all it claims to."""
        span = (self.end - self.begin) & 0xFFFF
        if self.thinning or span > MAX_SPAN:
            return None
        flags: list[bool] = []
        for chunk in self.chunks:
            if not chunk or len(flags) >= span:
                break
            flags += _unfold(chunk)
        return Arrivals(self.begin, tuple(flags[:span])) if len(flags) >= span else None

    def serialize(self) -> bytes:
        """The block; the chunks are filled up to whole words with a null chunk."""
        chunks = self.chunks + (0,) * (len(self.chunks) % 2)
        body = _SPAN.pack(self.ssrc, self.begin, self.end) + struct.pack(f"!{len(chunks)}H", *chunks)
        return _block(self.TYPE, self.thinning, body)


@dataclass(frozen=True)
class ReceiptTimes:
    """When packets arrived, in ticks of the media clock (section 4.3): those from `begin` up to but excluding `end`
    whose number is a multiple of 2^`thinning`. All of them have arrived."""

    TYPE: ClassVar[int] = 3
    ssrc: int
    begin: int
    end: int
    times: tuple[int, ...]
    thinning: int = 0

    @classmethod
    def of(cls, ssrc: int, receipts: Sequence[tuple[int, int]], thinning: int) -> tuple[ReceiptTimes, ...]:
        """The blocks for extended numbers and ticks: one for each run of numbers without a gap."""
        step = 1 << thinning
        runs: list[list[tuple[int, int]]] = []
        for number, ticks in receipts:
            if not runs or number != runs[-1][-1][0] + step:
                runs.append([])
            runs[-1].append((number, ticks))
        return tuple(
            cls(ssrc, run[0][0] & 0xFFFF, run[-1][0] + 1 & 0xFFFF, tuple(t & 0xFFFFFFFF for _, t in run), thinning)
            for run in runs
        )

    def receipts(self) -> tuple[tuple[int, int], ...]:
        """Sequence number and ticks of each; empty if the block is not what it claims to be."""
        span, step = (self.end - self.begin) & 0xFFFF, 1 << self.thinning
        first = -self.begin % step  # to the first multiple
        numbers = range(self.begin + first, self.begin + span, step)
        if span > MAX_SPAN or len(numbers) != len(self.times):
            return ()
        return tuple((number & 0xFFFF, ticks) for number, ticks in zip(numbers, self.times, strict=True))

    def serialize(self) -> bytes:
        """The block."""
        body = _SPAN.pack(self.ssrc, self.begin, self.end) + struct.pack(f"!{len(self.times)}I", *self.times)
        return _block(self.TYPE, self.thinning, body)


@dataclass(frozen=True)
class ReferenceTime:
    """When a receiver sent this, by its own clock (section 4.4): `ntp` as in a sender report."""

    TYPE: ClassVar[int] = 4
    ntp: int

    def serialize(self) -> bytes:
        """The block."""
        return _block(self.TYPE, 0, _NTP.pack(self.ntp))


@dataclass(frozen=True)
class ReferenceEcho:
    """The last reference times received (section 4.5): (SSRC, middle 32 bits of its NTP time, delay in 1/65536 s)."""

    TYPE: ClassVar[int] = 5
    echoes: tuple[tuple[int, int, int], ...]

    def serialize(self) -> bytes:
        """The block."""
        return _block(self.TYPE, 0, b"".join(_ECHO.pack(*echo) for echo in self.echoes))


@dataclass(frozen=True)
class StatisticsSummary:
    """Lost and duplicate packets from `begin` up to but excluding `end` (section 4.6); None: not reported.

    `jitter`: least, greatest, mean and standard deviation of the difference in transit from packet to packet, in units
    of the RTP clock.
    """

    TYPE: ClassVar[int] = 6
    ssrc: int
    begin: int
    end: int
    lost: int | None
    duplicate: int | None
    jitter: tuple[int, int, int, int] | None = None

    def serialize(self) -> bytes:
        """The block, without hop limits."""
        flags = (self.lost is not None) << 7 | (self.duplicate is not None) << 6 | (self.jitter is not None) << 5
        counts = (self.lost or 0, self.duplicate or 0, *(self.jitter or (0, 0, 0, 0)))
        return _block(self.TYPE, flags, _SUMMARY.pack(self.ssrc, self.begin, self.end, *counts, *(0,) * 4))


@dataclass(frozen=True)
class VoipMetrics:
    """Quality of a stream at its receiver (section 4.7): shares in 1/256, times in milliseconds, as on the wire.

    Noise level, echo loss and the external R factor are sent as unknown. `signal_level` is in dB over full scale, hence
    negative, `mos_lq` and `mos_cq` are tenths; UNKNOWN where they are not known. The buffer's three delays are its
    nominal one, the current maximum and the absolute maximum.
    """

    TYPE: ClassVar[int] = 7
    ssrc: int
    loss_rate: int = 0
    discard_rate: int = 0
    burst_density: int = 0
    gap_density: int = 0
    burst_duration: int = 0
    gap_duration: int = 0
    round_trip: int = 0
    end_system_delay: int = 0
    buffer_nominal: int = 0
    buffer_maximum: int = 0
    buffer_absolute: int = 0
    signal_level: int = UNKNOWN
    r_factor: int = UNKNOWN
    mos_lq: int = UNKNOWN
    mos_cq: int = UNKNOWN

    def serialize(self) -> bytes:
        """The block."""
        body = _METRICS.pack(
            self.ssrc, self.loss_rate, self.discard_rate, self.burst_density, self.gap_density,
            self.burst_duration, self.gap_duration, self.round_trip, self.end_system_delay,
            self.signal_level, UNKNOWN, UNKNOWN, GMIN,
            self.r_factor, UNKNOWN, self.mos_lq, self.mos_cq,
            _CONCEALS | _ADAPTS, 0, self.buffer_nominal, self.buffer_maximum, self.buffer_absolute,
        )  # fmt: skip
        return _block(self.TYPE, 0, body)


Block = LossRle | ReceiptTimes | ReferenceTime | ReferenceEcho | StatisticsSummary | VoipMetrics


@dataclass(frozen=True)
class ExtendedReport:
    """One XR packet: the reporter's SSRC, and those blocks that are supported."""

    ssrc: int
    blocks: tuple[Block, ...]

    @classmethod
    def parse(cls, body: bytes) -> ExtendedReport:
        """What follows the common header; ProtocolError if its blocks do not exactly fill it."""
        if len(body) < _SSRC.size:
            raise ProtocolError("RTCP extended report ends before its SSRC")
        blocks: list[Block] = []
        start = _SSRC.size
        while start < len(body):
            if start + _BLOCK_HEADER.size > len(body):
                raise ProtocolError("RTCP extended report ends inside a block header")
            block_type, specific, words = _BLOCK_HEADER.unpack_from(body, start)
            end = start + (words + 1) * _WORD
            if end > len(body):
                raise ProtocolError("RTCP extended report ends inside a block")
            block = _parse_block(block_type, specific, body[start + _WORD : end])
            if block is not None:
                blocks.append(block)
            start = end
        return cls(_SSRC.unpack_from(body)[0], tuple(blocks))

    def body(self) -> bytes:
        """What follows the common header."""
        return _SSRC.pack(self.ssrc) + b"".join(block.serialize() for block in self.blocks)


def _block(block_type: int, specific: int, body: bytes) -> bytes:
    return _BLOCK_HEADER.pack(block_type, specific, len(body) // _WORD) + body


def _parse_block(block_type: int, specific: int, body: bytes) -> Block | None:
    if block_type == LossRle.TYPE and len(body) >= _SPAN.size:
        ssrc, begin, end = _SPAN.unpack_from(body)
        chunks = struct.unpack_from(f"!{(len(body) - _SPAN.size) // 2}H", body, _SPAN.size)
        return LossRle(ssrc, begin, end, chunks, specific & 0x0F)
    if block_type == ReceiptTimes.TYPE and len(body) >= _SPAN.size:
        times = struct.unpack_from(f"!{(len(body) - _SPAN.size) // _WORD}I", body, _SPAN.size)
        ssrc, begin, end = _SPAN.unpack_from(body)
        return ReceiptTimes(ssrc, begin, end, times, specific & 0x0F)
    if block_type == ReferenceTime.TYPE and len(body) == _NTP.size:
        return ReferenceTime(*_NTP.unpack(body))
    if block_type == ReferenceEcho.TYPE and len(body) % _ECHO.size == 0:
        return ReferenceEcho(tuple((ssrc, last, delay) for ssrc, last, delay in _ECHO.iter_unpack(body)))
    if block_type == StatisticsSummary.TYPE and len(body) == _SUMMARY.size:
        ssrc, begin, end, lost, duplicate, least, greatest, mean, deviation, *_ = _SUMMARY.unpack(body)
        reported = (lost if specific & 0x80 else None, duplicate if specific & 0x40 else None)
        jitter = (least, greatest, mean, deviation) if specific & 0x20 else None
        return StatisticsSummary(ssrc, begin, end, *reported, jitter)
    if block_type == VoipMetrics.TYPE and len(body) == _METRICS.size:
        fields = _METRICS.unpack(body)
        # Noise level, echo loss, Gmin and the external R factor are passed over.
        known = (*fields[:9], *fields[-3:], fields[9], fields[13], *fields[15:17])
        return VoipMetrics(*known)
    return None


def _fold(flags: Sequence[bool]) -> tuple[int, ...]:
    """Flags as chunks: long runs by their length, the rest as bit vectors; a vector may reach beyond the end."""
    chunks: list[int] = []
    start = 0
    while start < len(flags):
        run = _run_length(flags, start)
        if run >= _MIN_RUN or start + run == len(flags):
            chunks.append((_RUN_OF_ONES if flags[start] else 0) | run)
            start += run
        else:
            bits = flags[start : start + _BITS]
            vector = sum(flag << (_BITS - 1 - index) for index, flag in enumerate(bits))
            chunks.append(_VECTOR | vector)
            start += _BITS
    return tuple(chunks)


def _run_length(flags: Sequence[bool], start: int) -> int:
    end = min(len(flags), start + _MAX_RUN)
    stop = start + 1
    while stop < end and flags[stop] == flags[start]:
        stop += 1
    return stop - start


def _unfold(chunk: int) -> list[bool]:
    if chunk & _VECTOR:
        return [bool(chunk >> (_BITS - 1 - index) & 1) for index in range(_BITS)]
    return [bool(chunk & _RUN_OF_ONES)] * (chunk & _MAX_RUN)
