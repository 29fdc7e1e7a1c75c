"""A proxy over UDP that changes session descriptions on their way."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator

from tests.support.processes import LOOPBACK, Receiver

BY_DTLS = {"profile": "AES_CM_128_HMAC_SHA1_80", "keys": "dtls", "readable": False, "proved": "certificate"}


class ProxyBetween:
    """Passes SIP on between a caller and a callee over UDP, and changes each session description on the way."""

    def __init__(self, callee: tuple[str, int], change: Callable[[bytes], bytes]) -> None:
        self._callee, self._change = callee, change
        self._caller: tuple[str, int] | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, source = self._socket.recvfrom(65536)
                if source != self._callee:
                    self._caller = source
                    self._socket.sendto(self._changed(data), self._callee)
                elif self._caller is not None:
                    self._socket.sendto(self._changed(data), self._caller)

    def _changed(self, data: bytes) -> bytes:
        head, end, body = data.partition(b"\r\n\r\n")
        body = self._change(body) if b"v=0" in body else body
        head = re.sub(rb"(?i)(\r\n(?:content-length|l) *: *)\d+", lambda found: found[1] + b"%d" % len(body), head)
        return head + end + body

    def close(self) -> None:
        self._socket.close()
        self._thread.join(5.0)


@contextlib.contextmanager
def between(far: Receiver, change: Callable[[bytes], bytes]) -> Iterator[str]:
    """Where to call `far` by way of the proxy."""
    proxy = ProxyBetween((LOOPBACK, far.sip_port), change)
    try:
        yield f"sip:{LOOPBACK}:{proxy.port}"
    finally:
        proxy.close()


def strip(body: bytes, *attributes: bytes) -> bytes:
    left_out = attributes or (b"a=crypto", b"a=fingerprint")
    return b"".join(line for line in body.splitlines(keepends=True) if not line.startswith(left_out))


def without_dtls(body: bytes) -> bytes:
    return strip(body, b"a=fingerprint", b"a=setup", b"a=tls-id")
