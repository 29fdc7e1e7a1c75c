"""Every fuzz target, by its name."""

from __future__ import annotations

from tests.fuzz import dtls, files, media, sdp, sip
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {target.name: target for part in (sip, sdp, media, dtls, files) for target in part.TARGETS}
