"""Findings: all are listed, errors stop."""

from __future__ import annotations

import pytest

from maskps.errors import AnnotationError
from maskps.findings import Finding, raise_on_errors

WARNING = Finding("person-missing", "warning", "a.json", "no outline")
ERROR = Finding("self-crossing", "error", "b.json shape 2", "a crossing", hint="draw it again")


def test_warnings_do_not_stop() -> None:
    raise_on_errors([])
    raise_on_errors([WARNING, Finding("read-as", "info", "a.json", "old version")])


def test_errors_stop_with_the_first_and_the_number() -> None:
    with pytest.raises(AnnotationError, match="2 more") as caught:
        raise_on_errors([WARNING, ERROR, ERROR, ERROR])
    assert caught.value.where == "b.json shape 2"
    assert caught.value.hint == "draw it again"


def test_a_finding_prints_level_place_and_message() -> None:
    assert str(ERROR) == "error: b.json shape 2: a crossing; draw it again"
