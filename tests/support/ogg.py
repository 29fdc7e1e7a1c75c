"""The packets of an Ogg file (RFC 3533), enough for those of Opus (RFC 7845)."""

from __future__ import annotations

from pathlib import Path

_HEADER = 27  # bytes of a page before its segment table


def packets(path: Path) -> list[bytes]:
    """The packets of the only stream of the file."""
    data, found, part = path.read_bytes(), [], b""
    position = 0
    while position < len(data):
        assert data[position : position + 4] == b"OggS"
        count = data[position + _HEADER - 1]
        table = data[position + _HEADER : position + _HEADER + count]
        position += _HEADER + count
        for size in table:
            part += data[position : position + size]
            position += size
            if size < 255:
                found.append(part)
                part = b""
    return found


def opus_stream(path: Path) -> tuple[int, int, list[bytes]]:
    """Channels, samples to leave out at the start, and the packets of sound."""
    head, _tags, *sound = packets(path)
    assert head.startswith(b"OpusHead")
    return head[9], int.from_bytes(head[10:12], "little"), sound
