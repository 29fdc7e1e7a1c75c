"""A private attribute: whether what is received is played at all (RFC 8866 section 6 allows attributes of one's own).

A side that only has something to send offers `sendrecv` all the same, since phones take `sendonly` for being put on
hold (RFC 3264 section 8.4). To programs of this kind it says `a=x-plays:no`, so that they can tell their user that
nothing of what they send is heard. Without the attribute a peer plays; others ignore it (RFC 8866 section 6).
"""

from __future__ import annotations

from voip.sdp.description import MediaDescription, SessionDescription

PLAYS = "x-plays"


def says_that_it_plays(description: SessionDescription, media: MediaDescription) -> bool:
    """Whether the describing side plays what it receives."""
    return all(value.strip().lower() != "no" for value in description.values(media, PLAYS))
