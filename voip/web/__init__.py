"""A page in the browser beside the terminal: what a call is like, live, and the commands that a window would have.

`live` turns records of calls into what the page shows, `guard` says who may ask, `server` speaks HTTP and WebSocket in
a thread that owns nothing of the calls: it reads snapshots, and what the page wants is posted to their owners.
`listener` has the port, and `idle` who may keep connections to it; both are the directory's as well.
"""

from voip.web.live import History, call_state
from voip.web.program import CommandRefused, Download, Program
from voip.web.server import WebServer

__all__ = ["CommandRefused", "Download", "History", "Program", "WebServer", "call_state"]
