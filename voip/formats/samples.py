"""Little-endian samples of 16 bits, as most machines have them in memory, to and from L16 (RFC 3551 section 4.5.11)."""

from __future__ import annotations

import numpy as np

from voip.errors import ProtocolError

SAMPLE_BYTES = 2
MIN_FRAMES = 32
"""Samples of each channel that are believed to be sound: a datagram with fewer is a text or a probe."""
MAX_BYTES = 8000
"""Bytes of samples in a datagram at most: what a media port accepts (`voip.session`), and four times what is sent."""

_LITTLE, _BIG = np.dtype("<i2"), np.dtype(">i2")


def to_l16(samples: bytes, channels: int) -> tuple[bytes, int]:
    """The payload of L16, and how many samples of each channel it holds. ProtocolError if that cannot be sound."""
    frames, rest = divmod(len(samples), SAMPLE_BYTES * channels)
    if rest or frames < MIN_FRAMES or len(samples) > MAX_BYTES:
        raise ProtocolError(f"{len(samples)} bytes are no samples of {channels} channels")
    return np.frombuffer(samples, _LITTLE).astype(_BIG).tobytes(), frames


def from_l16(payload: bytes) -> bytes:
    """The samples of a payload of L16, little-endian."""
    return np.frombuffer(payload, _BIG).astype(_LITTLE).tobytes()
