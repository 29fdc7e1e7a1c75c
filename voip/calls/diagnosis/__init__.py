"""What goes wrong in calls that are up, in words: the likely cause and the next step, once per cause.

Pure objects in virtual time. Each is shown the situation of a call every fraction of a second (`look`) and returns what
is to be said now; it remembers what was said, and takes up a cause again only after it has gone.

situation    Situation: what is known of a call at one moment; Finding: what is to be said; History
silence      Silence: nothing comes back, nothing arrives, the port is closed, sound is back
direction    Directions: one side sends what the other does not play; hold and resume
choppy       Choppy: sound that is missing in pieces, and why
peer_loss    PeerLoss: what the peer's reports say is lost of our sound
microphone   MicrophoneWatch: digital silence, clipping
refusals     Refusals: callers that were refused, within bounds
"""

from voip.calls.diagnosis.choppy import Choppy
from voip.calls.diagnosis.direction import Directions
from voip.calls.diagnosis.microphone import MicrophoneWatch
from voip.calls.diagnosis.peer_loss import PeerLoss
from voip.calls.diagnosis.refusals import Refusal, Refusals
from voip.calls.diagnosis.silence import Silence
from voip.calls.diagnosis.situation import Event, Finding, Situation

__all__ = [
    "Choppy",
    "Directions",
    "Event",
    "Finding",
    "MicrophoneWatch",
    "PeerLoss",
    "Refusal",
    "Refusals",
    "Silence",
    "Situation",
]
