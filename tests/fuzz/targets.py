"""Every fuzz target, by its name."""

from __future__ import annotations

from tests.fuzz import directory, dtls, files, formats, ice, masking, media, middle, sdp, sip
from tests.fuzz.target import Target

PARTS = (sip, sdp, masking, media, formats, ice, dtls, middle, files, directory)
TARGETS: dict[str, Target] = {target.name: target for part in PARTS for target in part.TARGETS}
