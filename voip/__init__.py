"""A voice link over SIP, RTP and XOR forward error correction. The map, in layer order; a module imports
only from lines above its own:

facts           errors (and exit codes), ip, stats, dsp (arrays in, arrays out)
wire formats    rtp (RFC 3550), codecs (RFC 3551, 7587)
values          media (what offer and answer hand to media)
built on them   sdp (RFC 8866, 3264), rtcp (RFC 3550 section 6, 3611), fec (RFC 8627, 5109), jitter (what plays when),
                stun (RFC 8489)
sessions        sip (RFC 3261), session (one media port), audio (what is sent, what is heard)
drivers         devices (microphone, speaker, files), net (sockets, timers)
assembly        engine (threads), calls (signalling to media), report, cli
the way in      environment (which Python runs them), scripts (the two scripts, where they are installed)
"""

import os

# Read when numpy is imported, which else starts a thread for each processor that has nothing to do here.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
