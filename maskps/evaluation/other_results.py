"""Result files of other programs, known by their first bytes. Nothing in them is unpickled."""

from __future__ import annotations

import re
import zipfile
from typing import BinaryIO

from maskps.io.sniffing import SNIFFED, other_file

_PEEKED = 65_536
_ZIP = b"PK\x03\x04"
_PAGE = 'docs/detections.md, "{}", shows how to convert it'

_PICKLED = (  # what stands in a pickle's first bytes
    (rb"gallery_dets", "the eval_cache.pth of SeqNet or a descendant", _PAGE.format("SeqNet")),
    (
        rb"_top1_list",
        "the values.pkl of GFN, which holds no detections",
        'docs/detections.md, "GFN", shows what to save instead',
    ),
    (
        rb"\A.{2}(\x95.{8})?\](q.|\x94)?\(?(\](q.|\x94)?\(?)+.{0,8}numpy",
        "a pickled list of arrays for each image, like the results_*.pkl of AlignPS and PSTR",
        _PAGE.format("AlignPS and PSTR"),
    ),
    (
        rb"",
        "a pickled file, of pickle or torch.save",
        "docs/detections.md shows how to write the arrays with other code",
    ),
)
_JSON = (
    (rb'"format":\s*"maskps-results"', "results of maskps", "give them to maskps report; here go detections"),
    (
        rb'"query_img"|"image_root"',
        "the results.json of SeqNet: the first ten answers to the queries that failed",
        'docs/detections.md, "SeqNet", converts eval_cache.pth, which holds all detections',
    ),
    (
        rb'\A\[.*"image_id"',
        "a COCO results file, which holds no embeddings",
        'docs/detections.md, "COCO results", shows how to join them',
    ),
    (rb"", "a JSON file", "docs/detections.md shows how to write the arrays"),
)
_PICKLE = re.compile(rb"\A(\x80[\x02-\x05]|\([ld]p\d)")


def other_results(stream: BinaryIO) -> tuple[str, str] | None:
    """Returns what this file is and what to try; None if it may be a file of detections.

    Args:
        stream: of the file, at its beginning; read only in part.
    """
    head = stream.read(_PEEKED)
    if head.startswith(_ZIP):
        pickled = _pickle_of_torch(stream)
        return None if pickled is None else _first_fit(_PICKLED, pickled)
    if _PICKLE.match(head):
        return _first_fit(_PICKLED, head)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith((b"[", b"{")):
        return _first_fit(_JSON, start)
    if head.startswith(b"\x93NUMPY"):
        return "one array (.npy)", "docs/detections.md shows the arrays that belong together"
    if head.startswith(b"MATLAB"):
        return "a MATLAB file", "docs/detections.md shows how to write the arrays"
    other = other_file(head[:SNIFFED])
    return None if other is None else (other.found, other.hint)


def _pickle_of_torch(stream: BinaryIO) -> bytes | None:
    """Returns the first bytes of the pickle in a zip file of torch.save; None if it is another zip file."""
    try:
        with zipfile.ZipFile(stream) as content:
            names = [name for name in content.namelist() if name.endswith("/data.pkl")]
            return content.open(names[0]).read(_PEEKED) if names else None
    except Exception:  # damage has a dozen symptoms, which read_npz explains
        return None


def _first_fit(table: tuple[tuple[bytes, str, str], ...], head: bytes) -> tuple[str, str]:
    return next((found, hint) for pattern, found, hint in table if re.search(pattern, head, re.DOTALL))
