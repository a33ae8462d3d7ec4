"""Listens on 127.0.0.1 and serves the page until it is stopped."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable

import uvicorn

from maskps.errors import OutputError
from maskps.gallery import Gallery
from maskps.serve.app import make_app
from maskps.serve.desk import Desk

HOST = "127.0.0.1"
"""Never another one: the page shows pictures of people, and has no users and no encryption."""


def serve(place: str, gallery: Gallery, port: int = 0, *, started: Callable[[str], None]) -> None:
    """Serves the page for a gallery until SIGINT or SIGTERM.

    Args:
        place: where the gallery is, as text.
        gallery: opened with its predictor.
        port: 0 takes a free one.
        started: is called with the page's address, which has the token of this start in its fragment, as
            soon as it can be opened.

    Raises:
        OutputError: the port is taken.
        KeyboardInterrupt: after SIGINT, as SIGINT does.
    """
    token = secrets.token_urlsafe(32)
    with listen(port) as listening:
        started(f"http://{HOST}:{listening.getsockname()[1]}/#token={token}")
        make_server(Desk(place, gallery), token).run(sockets=[listening])


def make_server(desk: Desk, token: str) -> uvicorn.Server:
    """Returns the server, which is yet to be run on a socket of `listen`."""
    config = uvicorn.Config(
        make_app(desk, token),
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_level="warning",
        access_log=False,  # a log would keep who was looked for
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def listen(port: int) -> socket.socket:
    """Returns a socket that listens on `HOST`; raises as `serve`."""
    # With the protocol named, asyncio sends small answers at once; else every answer waits for 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(64)
        return listening
    except OSError as error:
        listening.close()
        raise OutputError(
            f"port {port}",
            expected=f"a free port of {HOST}",
            found=error.strerror or str(error),
            hint="leave out --port: then a free one is taken",
        ) from error
