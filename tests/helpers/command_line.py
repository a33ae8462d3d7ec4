"""Commands as a user types them."""

from __future__ import annotations

import os
import subprocess
import sys

import click
from click.testing import CliRunner, Result


def invoke(command: click.Command, *arguments: object, **environment: str | None) -> Result:
    """What a command did with these arguments; a variable of the environment that is None is not set."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments], env=environment)


_STRIPES = """
import sys
sys.modules["torch"] = None  # every import of it fails
import maskps.model.onnx_predictor
from stripe_photos import StripePredictor
maskps.model.onnx_predictor.OnnxPredictor = lambda path: StripePredictor()
from maskps_cli.main import main
main(sys.argv[1:])
"""


def start_with_stripes(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Starts `maskps` in a process without torch; what it thinks an ONNX file finds `stripe_photos`."""
    return subprocess.Popen(
        [sys.executable, "-c", _STRIPES, *map(str, arguments), "--onnx", "any"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
