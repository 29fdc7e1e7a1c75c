"""Secure RTP (RFC 3711): what protects the media of a call."""

from voip.srtp.keys import OFFERED, MasterKey, Profile, SrtpKeys

__all__ = ["OFFERED", "MasterKey", "Profile", "SrtpKeys"]
