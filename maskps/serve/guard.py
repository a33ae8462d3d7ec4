"""Who may ask: this machine's own page, with the token of this start. And how much one may send."""

from __future__ import annotations

import asyncio
import re
import secrets
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maskps.errors import MaskpsError

TOKEN_HEADER = "X-Maskps-Token"

BODY_SECONDS = 30.0
"""How long a request may take to send its body."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""The page loads its own files and its own pictures, and no text becomes code."""

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_OWN_NAMES = re.compile(r"(127\.0\.0\.1|localhost)(:\d{1,5})?", re.ASCII)


class RefusedError(MaskpsError):
    """A request that is not answered.

    Attributes:
        status: of HTTP.
    """

    def __init__(
        self, status: HTTPStatus, where: str, *, expected: str = "", found: str = "", hint: str = ""
    ) -> None:
        super().__init__(where, expected=expected, found=found, hint=hint)
        self.status = status

    @classmethod
    def of(cls, status: HTTPStatus, where: str, error: MaskpsError) -> RefusedError:
        """Returns the same error about a part of the request."""
        return cls(status, where, expected=error.expected, found=error.found, hint=error.hint)


def error_response(status: int, error: MaskpsError) -> JSONResponse:
    """Returns the four parts of an error as JSON."""
    parts = {"where": error.where, "expected": error.expected, "found": error.found, "hint": error.hint}
    return JSONResponse({"error": parts}, status)


class Guard:
    """Lets in only what this machine's own page asks, and gives every answer the headers of a private page.

    A page from elsewhere that is open in the same browser could send requests to 127.0.0.1, too. It cannot
    choose another Host or Sec-Fetch-Site, and does not know the token.

    Args:
        app: what answers.
        token: of this start; every address below /api needs it in the header `TOKEN_HEADER`.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        refused = self._refusal(scope["path"], Headers(scope=scope))
        app = self._app if refused is None else error_response(refused.status, refused)
        await app(scope, receive, send_guarded)

    def _refusal(self, path: str, headers: Headers) -> RefusedError | None:
        host = headers.get("host", "")
        if not _OWN_NAMES.fullmatch(host):
            return RefusedError(
                HTTPStatus.BAD_REQUEST, "Host", expected="127.0.0.1 or localhost", found=host[:60] or "none"
            )
        site = headers.get("sec-fetch-site", "none")
        # A link from elsewhere may open the page: it holds nothing, and the token is in the link.
        if path != "/" and site not in ("same-origin", "none"):
            found = f"a request of another page ({site[:20]})"
            return RefusedError(HTTPStatus.FORBIDDEN, "Sec-Fetch-Site", expected="same-origin", found=found)
        if headers.get("origin", f"http://{host}") != f"http://{host}":
            found = headers["origin"][:60]
            return RefusedError(HTTPStatus.FORBIDDEN, "Origin", expected=f"http://{host}", found=found)
        given = headers.get(TOKEN_HEADER, "").encode()
        if path.startswith("/api/") and not secrets.compare_digest(given, self._token.encode()):
            return RefusedError(
                HTTPStatus.FORBIDDEN,
                TOKEN_HEADER,
                expected="the token of this start",
                found="another one" if given else "none",
                hint="open the address that maskps serve printed last",
            )
        return None


async def read_body(request: Request, most: int) -> bytes:
    """Returns the body of a request.

    Raises:
        RefusedError: 413, more than `most` bytes, announced or not; 408, not sent within `BODY_SECONDS`;
            400, cut off.
    """
    too_large = RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "the request",
        expected=f"at most {most / 1e6:g} MB",
        found="more",
        hint="make the picture smaller",
    )
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > most:
        raise too_large
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                content += part
                if len(content) > most:
                    raise too_large
    except TimeoutError as error:
        found = f"not sent within {BODY_SECONDS:g} seconds"
        raise RefusedError(
            HTTPStatus.REQUEST_TIMEOUT, "the request", found=found, hint="try again"
        ) from error
    except ClientDisconnect as error:
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, "the request", found="cut off", hint="try again"
        ) from error
    return bytes(content)
