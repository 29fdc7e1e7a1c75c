"""`python -m voip.udp_receiver [PORT]`: play numbered samples; the same as `voip-udp-receiver`."""

import sys

from voip.cli.udp_programs import udp_receiver

if __name__ == "__main__":
    sys.exit(udp_receiver())
