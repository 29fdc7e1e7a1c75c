"""What is sent and what is heard: sound to datagrams, packets to sound.

sender      AudioSender: reframe, encode, packetize, protect    Fanout: one sound, many senders
            framer: sound into frames   send_counters: what was sent
encoding    SharedEncoders: what senders of one sound have in common
receiver    AudioReceiver: packets in, sound out                 mixer: many receivers, one sound
reception   the network half of that: FEC and accounts          rendering: decode or conceal, time-scale, convert
dtmf        telephone events, sent and received
in_band     what Opus' in-band FEC should expect              levels: peak, energy, silence, clipping
speaking    ActiveSpeaker: which of several streams is the loudest
minus       MixMinus: to each party all others                   own_voice: the microphone of a conference's host
"""

from voip.audio.dtmf import Digit, DtmfSender, untaken
from voip.audio.encoding import SharedEncoders
from voip.audio.minus import MixMinus
from voip.audio.mixer import GAIN_LIMIT, Mixer, Mixture
from voip.audio.own_voice import OwnVoice
from voip.audio.receiver import LAST_WORDS, AudioReceiver
from voip.audio.sender import AudioSender, Fanout

__all__ = [
    "GAIN_LIMIT",
    "LAST_WORDS",
    "AudioReceiver",
    "AudioSender",
    "Digit",
    "DtmfSender",
    "Fanout",
    "MixMinus",
    "Mixer",
    "Mixture",
    "OwnVoice",
    "SharedEncoders",
    "untaken",
]
