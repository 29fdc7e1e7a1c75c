"""Bytes with a few of them changed, as a man in the middle or a broken device would."""

from __future__ import annotations

import random


def mutated(rng: random.Random, data: bytes) -> bytes:
    """With a few bytes changed, taken out, doubled or cut off."""
    broken = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        if not broken:
            break
        place = rng.randrange(len(broken))
        kind = rng.randrange(4)
        if kind == 0:
            broken[place] = rng.randrange(256)
        elif kind == 1:
            broken[place] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del broken[place : place + rng.randint(1, 20)]
        else:
            broken[place:place] = broken[place : place + rng.randint(1, 40)]
    return bytes(broken)
