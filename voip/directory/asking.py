"""How the web thread asks the network thread, which owns the directory, and waits for what comes of it.

user = await asking.result(directory.users.get, user_id)                # read
call = await asking.done(directory.initiate, caller_id, callee_id)      # changed, and durable
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

from voip.directory.directory import Directory, Reply
from voip.directory.refusals import Refusal, WrongState
from voip.directory.users import NoTelephones, Telephones

PATIENCE = 10.0
"""Seconds for which a request waits: an agent that is there obeys within one, and so does a database."""

Result = TypeVar("Result")


class Asking:
    """`directory` and `telephones` belong to the thread that `post` reaches: what is named of them here is called
    there."""

    def __init__(
        self,
        directory: Directory,
        post: Callable[[Callable[[], object]], object],
        telephones: Telephones | None = None,
    ) -> None:
        self.directory, self.post = directory, post
        self.telephones: Telephones = telephones or NoTelephones()

    async def result(self, function: Callable[..., Result], *arguments: object) -> Result:
        """What `function(*arguments)` returns. Refusal, if it raises that."""

        def run(reply: Reply) -> None:
            reply(function(*arguments))

        found: Result = await self.done(run)
        return found

    async def done(self, function: Callable[..., object], *arguments: object) -> Any:  # noqa: ANN401
        """What `function(*arguments, reply)` replies, once. Refusal, if it raises or replies one; WrongState if nothing
        comes in time."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def settle(result: object) -> None:
            if future.done():  # nobody waits any more
                return
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        def reply(result: object) -> None:
            with contextlib.suppress(RuntimeError):  # the web thread has ended
                loop.call_soon_threadsafe(settle, result)

        def run() -> None:
            try:
                function(*arguments, reply)
            except Refusal as refusal:
                reply(refusal)
            except Exception as bug:
                reply(bug)
                raise

        self.post(run)
        try:
            return await asyncio.wait_for(future, PATIENCE)
        except asyncio.TimeoutError as error:
            raise WrongState("it takes too long") from error
