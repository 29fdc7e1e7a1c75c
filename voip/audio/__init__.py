"""What is sent and what is heard: sound to datagrams, packets to sound.

sender      AudioSender: reframe, encode, packetize, protect    Fanout: one sound, many senders
receiver    AudioReceiver: repair, order, decode or conceal     Mixer: many receivers, one sound
events      keys of a telephone, received and sent
in_band     what Opus' in-band FEC should expect
"""

from voip.audio.events import Dialler, Digit
from voip.audio.receiver import AudioReceiver, Mixer
from voip.audio.sender import AudioSender, Fanout

__all__ = ["AudioReceiver", "AudioSender", "Dialler", "Digit", "Fanout", "Mixer"]
