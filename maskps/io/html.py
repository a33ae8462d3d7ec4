"""The style of the HTML pages that maskps writes, and their content policy: they load nothing."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def base_style() -> str:
    """Returns the style that all pages of results share: colours, light and dark, text and cards."""
    return (files("maskps.io") / "page.css").read_text(encoding="utf-8")


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
