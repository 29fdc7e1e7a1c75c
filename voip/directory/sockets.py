"""The WebSockets of the directory (RFC 6455): the links of scripts, and those of programs that want to be told."""

from __future__ import annotations

from aiohttp import web

from voip.directory.asking import Asking


def add_sockets(application: web.Application, asking: Asking) -> None:
    """Add their paths to the site. Requests have passed its guard, and have brought its token."""
