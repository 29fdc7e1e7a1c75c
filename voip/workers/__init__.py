"""One receiver made of several processes: a parent that has the SIP port, and workers that each take a share of the
calls (RFC 3261 section 18: to peers they are one user agent).

placement    which worker a message is for: by its Call-ID, or, for a new call, by the room that each has
distributor  in place of a user agent in the parent: messages to the workers, theirs to the network
supervisor   the worker processes: started, watched, started again, stopped
merging      one report of all
"""

from voip.workers.distributor import Distributor
from voip.workers.merging import Merging
from voip.workers.placement import Placement
from voip.workers.supervisor import Supervisor, WorkerEnd

__all__ = ["Distributor", "Merging", "Placement", "Supervisor", "WorkerEnd"]
