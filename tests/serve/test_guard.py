"""Only this machine's own page is answered, within limits, and nobody can make the others wait."""

from __future__ import annotations

import io
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_server import TOKEN, Served, served, wait_until
from PIL import Image
from stripe_photos import StripePredictor

from maskps.gallery import Gallery
from maskps.serve import app, guard
from maskps.serve.server import HOST, listen

DATA = ["/api/info", "/api/sources", "/api/crop/1", "/api/scene/1", "/api/scene/1/picture", "/api/picture/x"]
HEAD = f"POST /api/detect HTTP/1.1\r\nHost: {HOST}\r\nX-Maskps-Token: {TOKEN}\r\n"
EVERYTHING = ["/", "/static/page.js", "/static/nothing", "/nothing", *DATA]


@pytest.mark.parametrize(
    "host",
    ["evil.com", "evil.com:80", "127.0.0.1.evil.com", "localhost.evil.com", "0.0.0.0", "", "127.0.0.1:x"],
)
@pytest.mark.parametrize("path", ["/", "/api/info"])
def test_a_foreign_host_is_refused(host: str, path: str, unchanged: Served) -> None:
    assert unchanged.ask("GET", path, Host=host).status == 400


def test_both_names_of_this_machine_are_hosts_on_any_port_as_through_a_tunnel(unchanged: Served) -> None:
    for host in ("127.0.0.1", "localhost", "localhost:8000"):
        assert unchanged.ask("GET", "/api/info", Host=host).status == 200


@pytest.mark.parametrize("path", DATA)
@pytest.mark.parametrize("token", [None, "", "another", TOKEN.upper(), "\xe9"])
def test_data_needs_the_token(path: str, token: str | None, unchanged: Served) -> None:
    assert unchanged.ask("GET", path, X_Maskps_Token=token).status == 403
    for address in ("/api/detect", "/api/search"):
        assert unchanged.ask("POST", address, b"{}", X_Maskps_Token=token).status == 403


def test_the_page_itself_needs_none_and_holds_none(unchanged: Served) -> None:
    for path in ("/", "/static/page.js", "/static/page.css", "/static/icon.svg"):
        answer = unchanged.ask("GET", path, X_Maskps_Token=None)
        assert answer.status == 200 and TOKEN.encode() not in answer.body


@pytest.mark.parametrize("site", ["cross-site", "same-site", "x"])
def test_another_page_in_the_browser_is_refused_but_may_link_here(site: str, unchanged: Served) -> None:
    for path in (*DATA, "/static/page.js"):
        assert unchanged.ask("GET", path, Sec_Fetch_Site=site).status == 403
    assert unchanged.ask("POST", "/api/detect", b"", Sec_Fetch_Site=site).status == 403
    assert unchanged.ask("GET", "/", Sec_Fetch_Site=site).status == 200


def test_another_origin_is_refused_where_the_browser_sends_no_site(unchanged: Served) -> None:
    for origin in ("http://evil.com", "null", f"http://{HOST}:{unchanged.port + 1}", f"https://{HOST}"):
        assert unchanged.ask("GET", "/api/info", Sec_Fetch_Site=None, Origin=origin).status == 403
    own = f"http://{HOST}:{unchanged.port}"
    assert unchanged.ask("GET", "/api/info", Sec_Fetch_Site=None, Origin=own).status == 200


@pytest.mark.parametrize("path", EVERYTHING)
def test_every_answer_has_the_headers_of_a_private_page(path: str, unchanged: Served) -> None:
    for host in (f"{HOST}:{unchanged.port}", "evil.com"):
        headers = unchanged.ask("GET", path, Host=host).headers
        assert headers["content-security-policy"].startswith("default-src 'none';")
        assert "http" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert not any(name.startswith("access-control") for name in headers) and "server" not in headers


def test_nobody_is_allowed_to_ask_across_origins(unchanged: Served) -> None:
    headers: dict[str, str | None] = {"Origin": "http://evil.com", "Access_Control_Request_Method": "POST"}
    answer = unchanged.ask("OPTIONS", "/api/detect", X_Maskps_Token=None, **headers)
    assert answer.status == 403 and not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/static/../app.py",
            "/static/..%2fapp.py",
            "/static/%2e%2e/app.py",
            "/static//etc/passwd",
            "/../x",
        ),
        *("/static/", "/static", "/static/page.js/", "/api/crop/../../etc/passwd", "/api/crop/..%2f1"),
        *(
            "/api/crop/0",
            "/api/crop/-1",
            "/api/crop/1.0",
            "/api/crop/99",
            f"/api/crop/{2**63 - 1}",
            f"/api/crop/{2**63}",
            "/api/crop/%C2%B2",
        ),
        *(f"/api/scene/{'9' * 400}", "/api/scene/99", "/api/scene/99/picture", "/api/scene/1/x", "/api"),
    ],
)
def test_what_is_not_there_is_not_found(path: str, unchanged: Served) -> None:
    assert unchanged.ask("GET", path).status == 404


def test_a_wrong_method_is_refused(unchanged: Served) -> None:
    assert unchanged.ask("GET", "/api/detect").status == 405
    assert unchanged.ask("POST", "/api/info", b"").status == 405


def test_a_large_body_is_refused_whether_its_size_is_announced_or_not(
    unchanged: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = socket.create_connection((HOST, unchanged.port), timeout=5)
    connection.sendall(f"{HEAD}Content-Length: {app.MOST_BYTES + 1}\r\n\r\n".encode())
    assert connection.recv(20).startswith(b"HTTP/1.1 413")
    connection.close()
    monkeypatch.setattr(app, "MOST_BYTES", 5000)
    assert unchanged.ask("POST", "/api/detect", b"x" * 5001).status == 413
    assert unchanged.ask("POST", "/api/detect", b"x" * 5000).status == 422  # read, but not a picture

    def parts(count: int) -> Iterator[bytes]:
        yield from [b"x" * 1000] * count

    assert unchanged.ask("POST", "/api/detect", parts(6)).status == 413
    assert unchanged.ask("POST", "/api/detect", parts(5)).status == 422


def test_a_client_that_does_not_send_its_body_is_sent_away(
    unchanged: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.2)
    connection = socket.create_connection((HOST, unchanged.port), timeout=5)
    connection.sendall(f"{HEAD}Content-Length: 1000\r\n\r\nabc".encode())
    assert connection.recv(20).startswith(b"HTTP/1.1 408")
    connection.close()


def test_slow_clients_do_not_keep_the_others_waiting(unchanged: Served) -> None:
    slow = [socket.create_connection((HOST, unchanged.port), timeout=5) for _ in range(100)]
    for number, one in enumerate(slow):
        one.sendall(f"{HEAD}Content-Length: 1000\r\n\r\nabc".encode() if number % 2 else HEAD.encode())
    begin = time.monotonic()
    assert unchanged.ask("GET", "/api/crop/1").status == 200
    assert unchanged.ask("POST", "/api/detect", picture()).status == 200
    assert time.monotonic() - begin < 2
    for one in slow:
        one.close()


def picture(count: int = 1) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((32, 16 * count, 3), 200, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


class SlowPredictor(StripePredictor):
    """Works when it may, and knows in how many threads it did so at once."""

    def __init__(self) -> None:
        super().__init__()
        self.may, self.most = threading.Event(), 0
        self._running: set[int] = set()

    def detect(self, image: np.ndarray) -> Any:
        with self._counted():
            return super().detect(image)

    def embed(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        with self._counted():
            return super().embed(image, boxes)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        thread = threading.get_ident()
        is_inner = thread in self._running
        self._running.add(thread)
        self.most = max(self.most, len(self._running))
        self.may.wait(10)
        time.sleep(0.005)
        yield
        if not is_inner:
            self._running.discard(thread)


def test_one_picture_at_a_time_goes_through_the_network_few_wait_and_hits_are_shown_meanwhile(
    photos: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "MOST_WAITING", 4)
    predictor = SlowPredictor()
    answers: list[int] = []
    with Gallery.open(photos / "people.gallery", predictor) as slow, served(slow) as server:

        def ask() -> None:
            answers.append(server.ask("POST", "/api/detect", picture()).status)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(answers) == 2)
        assert answers == [503, 503]
        found = server.ask("POST", "/api/search", {"examples": [{"person": "1"}]})
        assert found.status == 200 and server.ask("GET", "/api/crop/1").status == 200
        predictor.may.set()
        for thread in threads:
            thread.join()
        ask()
    assert sorted(answers) == [200] * 5 + [503] * 2 and predictor.most == 1


def test_small_answers_do_not_wait_for_more(unchanged: Served) -> None:
    connection = HTTPConnection(HOST, unchanged.port, timeout=5)
    seconds = []
    for _ in range(30):
        begin = time.monotonic()
        connection.request("GET", "/static/icon.svg")
        connection.getresponse().read()
        seconds.append(time.monotonic() - begin)
    connection.close()
    assert statistics.median(seconds[10:]) < 0.03  # the delay of TCP is 0.04, but for the first answers


def test_it_listens_on_this_machine_alone() -> None:
    with listen(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1" and listening.family == socket.AF_INET
