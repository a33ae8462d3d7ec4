"""The page's server in a thread, and a client that sends exactly what a test says."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from maskps.gallery import Gallery
from maskps.serve.desk import Desk
from maskps.serve.guard import TOKEN_HEADER
from maskps.serve.server import HOST, listen, make_server

TOKEN = "the-token-of-a-test"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Served:
    """A running server.

    Attributes:
        port: of 127.0.0.1.
        desk: its answers.
    """

    port: int
    desk: Desk

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}/#token={TOKEN}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str | None) -> Answer:
        """Sends one request; `headers` add to those of the page, None leaves one out, "_" stands for "-"."""
        sent = {"Host": f"{HOST}:{self.port}", TOKEN_HEADER: TOKEN, "Sec-Fetch-Site": "same-origin"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}  # type: ignore[misc]
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        connection.putrequest(method, path, skip_host=True)
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        is_chunked = body is not None and not isinstance(body, bytes)
        if body is not None:
            connection.putheader(
                *(("Transfer-Encoding", "chunked") if is_chunked else ("Content-Length", str(len(body))))
            )
        connection.endheaders(body, encode_chunked=is_chunked)
        response = connection.getresponse()
        answer = Answer(response.status, dict(response.getheaders()), response.read())
        connection.close()
        return answer


def wait_until(is_so: Callable[[], bool]) -> None:
    """Waits up to ten seconds."""
    for _ in range(2000):
        if is_so():
            return
        time.sleep(0.005)
    raise AssertionError("it never was so")


@contextmanager
def served(gallery: Gallery) -> Iterator[Served]:
    """Runs the server of a gallery in a thread."""
    with listen(0) as listening:
        desk = Desk("people.gallery", gallery)
        server = make_server(desk, TOKEN)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started)
        yield Served(listening.getsockname()[1], desk)
        server.should_exit = True
        thread.join(5)
        assert not thread.is_alive()
