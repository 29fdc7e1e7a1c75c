"""Deep redundancy (DRED) by ctypes, where libopus has it (1.5 and later, built for it): draft-ietf-mlcodec-opus-dred.

A packet then says in its padding, in a few bits, how the sound before it was; a model makes speech of that.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

from voip.codecs import libopus
from voip.errors import VoipError

_int, _int32, _pointer, _bytes = ctypes.c_int, ctypes.c_int32, ctypes.c_void_p, ctypes.c_char_p
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "opus_dred_decoder_create": (_pointer, (ctypes.POINTER(_int),)),
    "opus_dred_decoder_destroy": (None, (_pointer,)),
    "opus_dred_alloc": (_pointer, (ctypes.POINTER(_int),)),
    "opus_dred_free": (None, (_pointer,)),
    "opus_dred_parse": (_int, (_pointer, _pointer, _bytes, _int32, _int32, _int32, ctypes.POINTER(_int), _int)),
    "opus_decoder_dred_decode": (_int, (_pointer, _pointer, _int32, _pointer, _int32)),
}


class Redundancy:
    """Reads what one packet at a time says of the sound before it, for `libopus.Decoder.rebuild`."""

    def __init__(self, library: ctypes.CDLL | None = None) -> None:
        """VoipError where the library, by default that of `libopus.load`, has no such thing."""
        self._library = library or libopus.load()
        try:
            for function, (result, arguments) in _SIGNATURES.items():
                found = getattr(self._library, function)
                found.restype, found.argtypes = result, arguments
        except AttributeError as error:
            raise VoipError("this libopus has no DRED") from error
        self._decoder = self._made("opus_dred_decoder_create", "opus_dred_decoder_destroy")
        self.handle = self._made("opus_dred_alloc", "opus_dred_free")
        """Of what was read last."""

    def read(self, packet: bytes, samples: int) -> int:
        """How many samples right before a packet it tells of; about `samples` are wanted. 0 without DRED."""
        silence = _int()
        code = self._library.opus_dred_parse(
            self._decoder, self.handle, packet, len(packet), samples, libopus.SAMPLE_RATE, ctypes.byref(silence), 0
        )
        return max(0, int(code))

    def _made(self, create: str, destroy: str) -> int:
        error = _int()
        made = getattr(self._library, create)(ctypes.byref(error))
        if not made:
            raise VoipError("this libopus was built without DRED")
        weakref.finalize(self, getattr(self._library, destroy), made)
        return int(made)


def find(library: ctypes.CDLL | None = None) -> Redundancy | None:
    """One, if the library has it."""
    try:
        return Redundancy(library)
    except VoipError:
        return None
