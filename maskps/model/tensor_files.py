"""Files of tensors, read without executing anything in them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from maskps.errors import InputFileError
from maskps.io.files import explained_reading


def read_tensors(path: Path, *, what: str, if_missing: str, if_broken: str) -> Any:
    """Returns the content of a .safetensors file, or of one that torch.save wrote, on the CPU.

    Args:
        what: what the file should be, for the error message.
        if_missing: what to try if the file does not exist.
        if_broken: what to try if it cannot be read.

    Raises:
        InputFileError: the file does not exist, is cut off, is another kind of file, or holds pickled code.
    """
    try:
        with explained_reading(path, what=what, hint=if_missing):
            if path.suffix == ".safetensors":
                return safetensors.torch.load_file(path)
            return torch.load(path, map_location="cpu", weights_only=True)
    except InputFileError:
        raise
    # On another kind of file torch's unpickler may raise anything, such as IndexError.
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0]
        if isinstance(error, pickle.UnpicklingError):  # torch's text advises to execute the file
            first_line = "not a file of tensors and numbers"
        found = f"{type(error).__name__}: {first_line}"
        raise InputFileError(path, expected=what, found=found, hint=if_broken) from error
