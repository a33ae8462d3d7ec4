"""Names of files in a data set's files never lead out of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskps.errors import AnnotationError, InputFileError
from maskps.io.paths import check_names, name_problem, path_inside


@pytest.mark.parametrize(
    "name",
    [
        "s1.jpg",
        "train/s1.jpg",
        "a..b.jpg",
        "..a.jpg",
        ".hidden.jpg",
        "x" * 251 + ".jpg",
        "人.jpg",
        "a b.jpg",
        "./s.jpg",
    ],
)
def test_names_below_a_folder_are_fine(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/etc/passwd", "absolute"),
        ("\\\\server\\share\\a.jpg", "absolute"),
        ("C:\\a.jpg", "absolute"),
        ("c:a.jpg", "absolute"),
        ("../a.jpg", "leaves the folder"),
        ("a/../../b.jpg", "leaves the folder"),
        ("a\\..\\b.jpg", "leaves the folder"),
        ("..", "leaves the folder"),
        ("", "without a file"),
        (".", "without a file"),
        ("a/", "without a file"),
        ("a\0.jpg", "control"),
        ("a\n.jpg", "control"),
        ("a\ud800.jpg", "control"),
        ("x" * 252 + ".jpg", "too long"),
        ("人" * 84 + ".jpg", "too long"),
        ("/".join(["abc"] * 251), "too long"),
    ],
)
def test_names_that_lead_elsewhere_or_nowhere_are_refused(tmp_path: Path, name: str, words: str) -> None:
    problem = name_problem(name)
    assert problem is not None and words in problem
    with pytest.raises(AnnotationError, match=r"and 1 more such names"):
        check_names("train.json", [name, "fine.jpg", name])
    with pytest.raises(AnnotationError):
        path_inside(tmp_path, name, root=tmp_path)


def test_links_are_followed_inside_the_data_set_only(tmp_path: Path) -> None:
    root, images, secret = tmp_path / "set", tmp_path / "disk", tmp_path / "secret"
    for folder in (root / "store", images, secret):
        folder.mkdir(parents=True)
    for file in (root / "store" / "b.jpg", images / "a.jpg", secret / "passport.jpg", tmp_path / "set2.jpg"):
        file.write_bytes(b"")
    (root / "images").symlink_to(images)
    (images / "inside.jpg").symlink_to("a.jpg")
    (images / "stored.jpg").symlink_to(root / "store" / "b.jpg")
    (images / "out.jpg").symlink_to(secret / "passport.jpg")
    (images / "beside.jpg").symlink_to(tmp_path / "set2.jpg")
    (images / "folder").symlink_to(secret)
    (images / "loop.jpg").symlink_to("loop.jpg")
    for name in ("a.jpg", "inside.jpg", "stored.jpg", "absent.jpg", "loop.jpg"):
        assert path_inside(root / "images", name, root=root) == root / "images" / name
    for name in ("out.jpg", "beside.jpg", "folder/passport.jpg"):
        with pytest.raises(InputFileError, match="a link to"):
            path_inside(root / "images", name, root=root)
