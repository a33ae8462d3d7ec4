"""What the HTML pages of maskps share: style, code, and the policy by which they load nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def base_style() -> str:
    """Returns the style that all pages share, without its comments; `page.css` explains its classes."""
    return re.sub(r"/\*.*?\*/\s*", "", _text("page.css"), flags=re.DOTALL)


def base_script() -> str:
    """Returns the functions that pages with code of their own share; it must come first."""
    return _text("page.js")


def _text(name: str) -> str:
    return (files("maskps.io") / name).read_text(encoding="utf-8")


def page_environment(package: str) -> Environment:
    """Returns the environment of the templates in a package's folder `templates`: everything is escaped, and
    a name that a template does not get is an error.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def content_policy(style: str, script: str = "") -> str:
    """Returns the Content-Security-Policy of a page with this one style and at most this one script in it.

    Pictures are in the page itself. Nothing else is loaded, and no other code runs, whatever names contain.
    """
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_sha256(style)}'; script-src '{_sha256(script)}'"
    )


def _sha256(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
