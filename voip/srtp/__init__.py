"""Secure RTP (RFC 3711): what protects the media of a call."""

from voip.srtp.keys import MasterKey, Profile, SrtpKeys

__all__ = ["MasterKey", "Profile", "SrtpKeys"]
