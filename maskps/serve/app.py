"""The addresses of the page's server. In each, numbers and random names stand for pictures, never paths."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from importlib.resources import files
from typing import TypeVar

from anyio import CapacityLimiter, Lock, to_thread
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from maskps.errors import MaskpsError, OutputError
from maskps.io.html import base_script, base_style
from maskps.serve.asked import person_number, read_asked
from maskps.serve.desk import Desk
from maskps.serve.guard import Guard, RefusedError, error_response, read_body
from maskps.serve.pictures import KEPT_SECONDS

MOST_BYTES = 20_000_000
"""Of a picture that is dropped on the page."""

MOST_WAITING = 8
"""Requests that wait for the network; further ones are refused."""

_SCRIPTS = ("server.js", "framed.js", "timeline.js", "saved.js", "page.js")
_MOST_JSON = 100_000
_DECODERS = 2  # photos that are read at the same time

Result = TypeVar("Result")
Handler = Callable[[Request], Awaitable[Response]]


def make_app(desk: Desk, token: str) -> Guard:
    """Returns the application (ASGI) that serves the page and its data.

    Args:
        token: what each request of data must bring.
    """
    addresses = _Addresses(desk)
    routes: list[tuple[str, Handler, str]] = [
        ("/", addresses.file, "GET"),
        ("/static/{name}", addresses.file, "GET"),
        ("/api/info", addresses.info, "GET"),
        ("/api/detect", addresses.detect, "POST"),
        ("/api/search", addresses.search, "POST"),
        ("/api/sources", addresses.sources, "GET"),
        ("/api/picture/{name}", addresses.picture, "GET"),
        ("/api/crop/{person}", addresses.crop, "GET"),
        ("/api/scene/{person}", addresses.scene, "GET"),
        ("/api/scene/{person}/picture", addresses.scene_picture, "GET"),
        ("/api/scene/{person}/thumb", addresses.scene_thumb, "GET"),
    ]
    app = Starlette(
        routes=[Route(path, answer, methods=[method]) for path, answer, method in routes],
        exception_handlers={MaskpsError: _explained, HTTPException: _unknown},
    )
    app.router.redirect_slashes = False
    return Guard(app, token)


class _Addresses:
    """One method for each address."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._files = _page_files()
        self._network, self._waiting = Lock(), 0
        self._decoders = CapacityLimiter(_DECODERS)

    async def file(self, request: Request) -> Response:
        """The page, its style, script and icon; they are in memory, so no name leads to another file."""
        name = request.path_params.get("name", "index.html")
        if name not in self._files:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        content, kind = self._files[name]
        return Response(content, media_type=kind)

    async def info(self, request: Request) -> Response:
        found = await to_thread.run_sync(self._desk.info)
        return JSONResponse(found, background=BackgroundTask(to_thread.run_sync, self._desk.warm_up))

    async def detect(self, request: Request) -> Response:
        content = await read_body(request, MOST_BYTES)
        found = await self._by_network(self._desk.detect, content)
        asyncio.get_running_loop().call_later(KEPT_SECONDS + 1, self._desk.pictures.drop_old)
        return JSONResponse(found, background=BackgroundTask(self._embed_detected, found["picture"]))

    async def search(self, request: Request) -> Response:
        asked = read_asked(await read_body(request, _MOST_JSON))
        if await to_thread.run_sync(self._desk.needs_network, asked):
            return JSONResponse(await self._by_network(self._desk.search, asked))
        return JSONResponse(await to_thread.run_sync(self._desk.search, asked))

    async def sources(self, request: Request) -> Response:
        start = request.query_params.get("start", "0")
        number = int(start) if start.isascii() and start.isdigit() and len(start) < 10 else 0
        camera = request.query_params.get("camera")
        return JSONResponse(await to_thread.run_sync(self._desk.sources, camera, number))

    async def picture(self, request: Request) -> Response:
        return await self._jpeg(self._desk.picture, request.path_params["name"])

    async def crop(self, request: Request) -> Response:
        return await self._jpeg(self._desk.crop, person_number(request.path_params["person"]))

    async def scene_picture(self, request: Request) -> Response:
        return await self._jpeg(self._desk.scene_picture, person_number(request.path_params["person"]))

    async def scene_thumb(self, request: Request) -> Response:
        return await self._jpeg(self._desk.scene_thumb, person_number(request.path_params["person"]))

    async def scene(self, request: Request) -> Response:
        person = person_number(request.path_params["person"])
        found = await to_thread.run_sync(self._desk.scene, person, limiter=self._decoders)
        return JSONResponse(found)

    async def _jpeg(self, make: Callable[..., bytes], name: str | int) -> Response:
        content = await to_thread.run_sync(make, name, limiter=self._decoders)
        return Response(content, media_type="image/jpeg")

    async def _embed_detected(self, name: str) -> None:
        async with self._network:
            await to_thread.run_sync(self._desk.embed_detected, name)

    async def _by_network(self, function: Callable[..., Result], argument: object) -> Result:
        """Calls a function that uses the network, when it is free: one request after the other."""
        if self._waiting >= MOST_WAITING:
            found = f"{self._waiting} requests are waiting for it"
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "the network", found=found, hint="try again")
        self._waiting += 1
        try:
            async with self._network:
                return await to_thread.run_sync(function, argument)
        finally:
            self._waiting -= 1


def _page_files() -> dict[str, tuple[bytes, str]]:
    folder = files("maskps.serve") / "page"

    def text(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    found = {
        "index.html": (text("index.html"), "text/html"),
        "page.css": (base_style() + text("page.css"), "text/css"),
        "page.js": (base_script() + "".join(map(text, _SCRIPTS)), "text/javascript"),
        "icon.svg": (text("icon.svg"), "image/svg+xml"),
    }
    return {name: (content.encode(), kind) for name, (content, kind) in found.items()}


async def _explained(request: Request, error: Exception) -> Response:
    assert isinstance(error, MaskpsError)
    if isinstance(error, RefusedError):
        return error_response(error.status, error)
    is_locked = isinstance(error, OutputError)
    return error_response(
        HTTPStatus.SERVICE_UNAVAILABLE if is_locked else HTTPStatus.INTERNAL_SERVER_ERROR, error
    )


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    return error_response(status, MaskpsError("the address", found=status.phrase.lower()))
