"""Sound in datagrams of other formats than RTP, without signalling: what small programs send to one another over UDP.

Each format is a codec of datagrams, without I/O: from bytes to RTP packets with numbers and media times, and back. So
everything behind a media port (source address, sequence, jitter buffer, report) is the same for them as for RTP.

    pcm      bare samples: 16 bits, little-endian; 1024 of them, mono, 44.1 kHz
    adts     AAC in ADTS frames: one in a datagram, or a file of some
    seed0    RTP whose payload type 0 is samples, parity as type 127, and SIP of start lines alone
    seq16    a number of 16 bits, little-endian, then samples as before: 960, 48 kHz; 2 bytes alone are a ping

datagrams   DatagramFormat: what a format is; Framing: one port's datagrams to and from packets
arrivals    ArrivalClock: numbers and media times for datagrams that have none
samples     little-endian samples to and from the payloads of L16
pcm, seq16, adts, seed0   the formats
bare_sip    the signalling of seed0
choice      a format by its name, with another rate or other channels; what is negotiated for it
"""

from voip.formats.choice import SCHEMES, find_format, media_for, usual_port
from voip.formats.datagrams import DatagramFormat, Framing

__all__ = ["SCHEMES", "DatagramFormat", "Framing", "find_format", "media_for", "usual_port"]
