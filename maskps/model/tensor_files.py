"""Files of tensors: read without executing anything in them, and with every damaged byte noticed."""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from torch import Tensor

from maskps.errors import InputFileError
from maskps.io.files import explained_reading, open_file, written_atomically

_SEAL = "maskps-sha256 {}\n"
"""The end of a file that `write_tensors` wrote: the digest of all that is before it."""

_SEAL_LENGTH = len(_SEAL.format(64 * "0"))
_CHANGED = "bytes that changed after it was written, or a file that is cut off"
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)
"""Of weights and counters."""

_DIGEST_IN_NAME = re.compile(r".*-([0-9a-f]{8,64})\.[a-z]+")
"""torch hub's names: the file's SHA-256 begins with these digits, e.g. resnet50-0676ba61.pth."""


def write_tensors(path: Path, content: Any) -> None:
    """Writes tensors, numbers, texts, lists and dicts with torch.save, sealed with their digest, atomically.

    Raises:
        OutputError: it cannot be written; the disk may be full.
    """
    buffer = io.BytesIO()  # torch.save to a full disk raises an error of its own
    torch.save(content, buffer)
    digest = hashlib.sha256(buffer.getbuffer()).hexdigest()
    buffer.write(_SEAL.format(digest).encode())
    with written_atomically(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_tensors(path: Path, *, what: str, if_missing: str, if_broken: str) -> Any:
    """Returns the content of a .safetensors file, or of one that torch.save wrote, on the CPU.

    A file with a seal, one with a digest in its name (torch hub's, e.g. resnet50-0676ba61.pth), and one that
    is a zip archive, as torch.save writes it, must have the bytes that it was written with.

    Args:
        what: what the file should be, for the error message.
        if_missing: what to try if the file does not exist.
        if_broken: what to try if it cannot be read.

    Raises:
        InputFileError: the file does not exist, is damaged, is another kind of file, or holds pickled code.
    """
    try:
        with explained_reading(path, what=what, hint=if_missing), open_file(path) as file:
            if damage := _damage(file, path.name):
                raise InputFileError(path, expected=what, found=damage, hint=if_broken)
            file.seek(0)
            if path.suffix == ".safetensors":
                return safetensors.torch.load(file.read())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's: that a pickle's protocol is new
                return torch.load(file, map_location="cpu", weights_only=True)
    except InputFileError:
        raise
    # On another kind of file torch's unpickler may raise anything, such as IndexError.
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0]
        if isinstance(error, pickle.UnpicklingError):  # torch's text advises to execute the file
            first_line = "not a file of tensors and numbers"
        found = f"{type(error).__name__}: {first_line}"
        raise InputFileError(path, expected=what, found=found, hint=if_broken) from error


def tensors_in(content: Any) -> Iterator[Any]:
    """Yields the tensors in nested dicts, lists and tuples."""
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, dict | list | tuple):
        for entry in content.values() if isinstance(content, dict) else content:
            yield from tensors_in(entry)


def is_sound(tensor: Tensor) -> bool:
    """Whether a tensor from a file has numbers of its own, floats or int64, all of them finite.

    A few bytes can name a sparse tensor, or one that repeats a number without end.
    """
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        return False
    if tensor.dtype not in DTYPES:
        return False
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return False
    return bool(tensor.isfinite().all())


def _damage(file: BinaryIO, name: str) -> str:
    """Returns how the bytes of a file differ from those that were written; "" if nothing shows that."""
    size = file.seek(0, io.SEEK_END)
    of_name = _DIGEST_IN_NAME.fullmatch(name)
    if of_name and not _digest(file, size).startswith(of_name[1]):
        return "other bytes than those whose digest is in its name"
    file.seek(max(0, size - _SEAL_LENGTH))
    end = file.read().decode("latin-1")
    if end.startswith(_SEAL[:14]):
        return "" if end == _SEAL.format(_digest(file, size - _SEAL_LENGTH)) else _CHANGED
    file.seek(0)
    if file.read(2) != b"PK":
        return ""
    if not end[-22:].startswith("PK\x05\x06"):  # the last 22 bytes of a zip archive without a comment
        return _CHANGED
    with zipfile.ZipFile(file) as archive:
        return _CHANGED if archive.testzip() else ""


def _digest(file: BinaryIO, size: int) -> str:
    """Returns the SHA-256 (hex) of the first `size` bytes."""
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0 and (chunk := file.read(min(size, 2**20))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()
