"""Which options `--help` shows; `--help-all` has them all."""

RECEIVER_DAILY = (
    "output",
    "list_devices",
    "two_way",
    "once",
    "max_calls",
    "conference",
    "allow",
    "announce",
    "web",
    "user",
    "registrar",
    "report",
)
SENDER_DAILY = (
    "input",
    "duration",
    "list_devices",
    "two_way",
    "codec",
    "message",
    "browse",
    "web",
    "user",
    "registrar",
    "report",
)
"""The options of daily use, which `--help` shows."""
