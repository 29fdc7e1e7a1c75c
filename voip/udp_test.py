"""`python -m voip.udp_test [IP [PORT]]`: send numbered samples; the same as `voip-udp-test`."""

import sys

from voip.cli.udp_programs import udp_test

if __name__ == "__main__":
    sys.exit(udp_test())
