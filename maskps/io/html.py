"""The content policy of the HTML pages that maskps writes: they run their own code and load nothing."""

from __future__ import annotations

import base64
import hashlib


def content_policy(style: str, script: str) -> str:
    """Returns the Content-Security-Policy of a page with this one style and this one script in it.

    Pictures are in the page itself. Nothing else is loaded, and no other code runs, whatever names contain.
    """
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_sha256(style)}'; script-src '{_sha256(script)}'"
    )


def _sha256(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
