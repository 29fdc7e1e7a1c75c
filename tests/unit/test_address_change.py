"""What a peer is told when the address of this machine changes."""

from __future__ import annotations

from voip.calls.negotiation import readdressed
from voip.media import Direction
from voip.sdp import Endpoint, SessionDescription

ANSWER = """v=0
o=- 7 1 IN IP4 10.0.0.1
s=-
c=IN IP4 10.0.0.1
t=0 0
m=video 0 RTP/AVP 99
m=audio 5000 RTP/AVP 109 97
c=IN IP4 10.0.0.1
a=rtpmap:109 opus/48000/2
a=rtpmap:97 flexfec/48000
a=recvonly
a=rtcp:5001
a=rtcp-mux
"""


def test_a_description_names_another_address_and_keeps_its_numbers() -> None:
    endpoint = Endpoint("2001:db8::7", 6000, 1, 2, "x", 7, session_version=2, rtcp_port=7001)
    moved = readdressed(SessionDescription.parse(ANSWER.encode()), endpoint, Direction.SENDRECV)
    again = SessionDescription.parse(moved.serialize())
    video, audio = again.media
    assert (video.port, audio.port, audio.formats) == (0, 6000, ["109", "97"])
    assert (again.host(audio), again.origin, again.session_version) == ("2001:db8::7", "2001:db8::7", "2")
    assert again.direction(audio) is Direction.SENDRECV
    assert audio.values("rtcp") == ["7001"]
    assert audio.value("rtcp-mux") is not None
