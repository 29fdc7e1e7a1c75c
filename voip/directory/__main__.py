"""`python -m voip.directory`: the same as `voip-directory`."""

import sys

from voip.cli.directory import command

if __name__ == "__main__":
    sys.exit(command())
