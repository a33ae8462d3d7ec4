"""Annotation files of tools that are not read, known by what they hold, and the export that works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maskps.errors import InputFileError, MaskpsError

EXPECTED = "masks that import-masks reads: COCO, PNG, YOLO segmentation or CVAT for images 1.1"

SEE = "docs/from_your_tool.md lists the export of each tool"


def check_not_foreign(path: Path, content: Any) -> None:
    """Raises InputFileError if the content of a JSON file is that of a tool that is not read."""
    tool, hint = tool_of(content)
    if tool:
        raise InputFileError(path, expected=EXPECTED, found=tool, hint=f"{hint}; {SEE}")


def tool_of(content: Any) -> tuple[str, str]:
    """Returns the tool that writes such JSON, and what to do instead; empty texts if it may be COCO."""
    return _tool_of_object(content) if isinstance(content, dict) else _tool_of_list(content)


def unknown_file(path: Path) -> MaskpsError:
    """Returns the error for a file with an ending that is not read."""
    endings = {
        ".zip": "unpack it, and give the file or folder in it",
        ".jpg": "masks as JPEG are blurred at the borders; save them as PNG",
        ".jpeg": "masks as JPEG are blurred at the borders; save them as PNG",
    }
    hint = endings.get(path.suffix.lower(), "export the masks in one of these formats")
    return InputFileError(
        path, expected=EXPECTED, found=f"a file that ends with {path.suffix!r}", hint=f"{hint}; {SEE}"
    )


def unknown_folder(folder: Path) -> MaskpsError:
    """Returns the error for a folder without files that are read from a folder."""
    endings = sorted({path.suffix.lower() for path in folder.rglob("*") if path.is_file()})
    hint = "give the folder with the exported files"
    if ".json" in endings:
        hint = "of COCO give the .json file itself; LabelMe files are read by build-subset --labelme"
    elif ".jpg" in endings or ".jpeg" in endings:
        hint = "masks as JPEG are blurred at the borders; save them as PNG"
    found = (
        f"only {', '.join(ending or 'files without ending' for ending in endings)}" if endings else "nothing"
    )
    expected = "a folder with .png masks, YOLO labels (.txt) or CVAT files (.xml)"
    return InputFileError(folder, expected=expected, found=found, hint=f"{hint}; {SEE}")


def _tool_of_object(content: dict[str, Any]) -> tuple[str, str]:
    """Returns the tool that writes such objects, and what to do instead; empty texts if it may be COCO."""
    entries = content.get("annotations")
    if isinstance(entries, list) and any(isinstance(one, dict) and "segments_info" in one for one in entries):
        return (
            "a COCO panoptic file: its masks are in PNG files beside it",
            "turn it into COCO instances with panopticapi's panoptic2detection_coco_format.py",
        )
    if isinstance(content.get("images"), list):
        return "", ""
    if isinstance(content.get("shapes"), list):
        return "a LabelMe file", "give the folder of the LabelMe files to build-subset --labelme"
    if "_via_img_metadata" in content or any(
        isinstance(one, dict) and "regions" in one for one in content.values()
    ):
        return "a file of VIA (VGG Image Annotator)", "export it from VIA as COCO"
    if isinstance(content.get("items"), list) and "categories" in content:
        return (
            "a Datumaro file",
            "export COCO instead, or run: datum convert -i DIR -if datumaro -f coco_instances -o OUT",
        )
    if isinstance(content.get("objects"), list):
        return "a file of Supervisely or Cityscapes for one image", "export COCO instance segmentation"
    return "", ""


def _tool_of_list(content: Any) -> tuple[str, str]:
    first = content[0] if isinstance(content, list) and content else None
    if isinstance(first, dict) and "image_id" not in first:
        if isinstance(first.get("data"), dict) or ("image" in first and "label" in first):
            return "a Label Studio file", "export from Label Studio as COCO (brush masks: as PNG)"
        if "regions" in first:
            return "a file of VIA (VGG Image Annotator)", "export it from VIA as COCO"
    return "", ""
