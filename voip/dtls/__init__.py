"""DTLS-SRTP: keys for media by a handshake on the media port (RFC 5763, RFC 5764).

records      the frame of DTLS records
certificate  our own certificate
association  one connection of OpenSSL; the only module that needs pyOpenSSL
handshake    one association and one address: datagrams, and their repetition
proof        who the peer is: by a password, or by a string that people compare
guesses      how fast a password can be guessed
endpoint     the DTLS side of one media port
"""
