"""What is sent and what is heard: sound to datagrams, packets to sound.

sender      AudioSender: reframe, encode, packetize, protect    Fanout: one sound, many senders
receiver    AudioReceiver: repair, order, decode or conceal     Mixer: many receivers, one sound
            framer: sound into frames   send_counters: what was sent
dtmf        keys of a telephone, sent and received
losses      how much delay the losses of late deserve           in_band: what Opus' in-band FEC should expect
clock       the sender's clock against that of our device
"""

from voip.audio.dtmf import Digit, DtmfSender
from voip.audio.receiver import AudioReceiver, Mixer
from voip.audio.sender import AudioSender, Fanout

__all__ = ["AudioReceiver", "AudioSender", "Digit", "DtmfSender", "Fanout", "Mixer"]
