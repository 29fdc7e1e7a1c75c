"""Commands that come as text, from a page or from the directory: `{"number": 7, "do": "hang-up", "call_id": "..."}`.

The response has the number of the command, so that the other side tells apart what became of each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from voip.printable import printable
from voip.web.program import Command, CommandRefused


def obey(commands: Mapping[str, Command], text: str) -> dict[str, Any]:
    """Have a command done; what is said of it to the side that asked."""
    number: object = None
    try:
        asked = json.loads(text)
        if not isinstance(asked, dict):
            raise CommandRefused("a command is an object")
        number = asked.pop("number", None)
        command = commands.get(str(asked.pop("do", "")))
        if command is None:
            raise CommandRefused("no such command")
        command(asked)
    except (ValueError, RecursionError) as error:
        return {"type": "done", "number": None, "error": f"not JSON: {type(error).__name__}"}
    except CommandRefused as error:
        return {"type": "done", "number": number, "error": printable(str(error))}
    return {"type": "done", "number": number, "error": None}
