"""A hook of MkDocs: pages from files outside docs/, links to such files, and the API reference."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"

FROM_OUTSIDE = {
    "project/overview.md": REPOSITORY / "README.md",
    "project/contributing.md": REPOSITORY / "CONTRIBUTING.md",
    "project/changelog.md": REPOSITORY / "CHANGELOG.md",
}
"""Pages of the site whose files stand beside docs/."""

ROOMS = [
    "maskps",
    *("maskps.protocols", "maskps.masks", "maskps.datasets", "maskps.subset", "maskps.synthetic"),
    *("maskps.losses", "maskps.model", "maskps.evaluation", "maskps.training"),
    *("maskps.pictures", "maskps.gallery", "maskps.report", "maskps_annotation"),
]
"""The packages of the API reference, one page each: what their `__init__` lists."""

LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_config(config: MkDocsConfig) -> None:
    """Adds the folders with one page for each thing, and the API reference, to the navigation."""
    assert config.nav is not None
    for title, folder in (("How to add", "extend"), ("Decisions", "decisions")):
        pages = sorted((DOCS / folder).glob("*.md"), key=lambda path: (path.stem != "README", path.name))
        config.nav.append({title: [f"{folder}/{path.name}" for path in pages]})
    config.nav.append({"API reference": [{room: f"api/{room}.md"} for room in ROOMS]})


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the pages that are not in docs/."""
    for uri, path in FROM_OUTSIDE.items():
        files.append(File.generated(config, uri, content=path.read_text(encoding="utf-8")))
    for room in ROOMS:
        files.append(File.generated(config, f"api/{room}.md", content=_api_page(room)))


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Points links at pages of the site; a link to any other file of the repository becomes its text."""
    here = page.file.src_uri
    source = FROM_OUTSIDE.get(here, DOCS / here)
    uris = {path: uri for uri, path in FROM_OUTSIDE.items()}

    def in_site(link: re.Match[str]) -> str:
        target = (source.parent / link["path"]).resolve()
        if not target.is_relative_to(REPOSITORY) or not target.exists():
            return link[0]  # an address, or broken: MkDocs reports it
        if target not in uris and not target.is_relative_to(DOCS):
            return link["text"]
        uri = uris.get(target) or target.relative_to(DOCS).as_posix()
        path = os.path.relpath(uri, Path(here).parent)
        return f"{link['image']}[{link['text']}]({path}{link['anchor'] or ''})"

    return LINK.sub(in_site, markdown)


def _api_page(room: str) -> str:
    folder = Path(*room.split("."))
    beside = REPOSITORY if (REPOSITORY / folder).is_dir() else REPOSITORY / "annotation"
    init = beside / folder / "__init__.py"
    text = f"# {room}\n\n::: {room}\n"
    for name in re.findall(r'^    "(\w+)",$', init.read_text(encoding="utf-8"), re.MULTILINE):
        if (init.parent / f"{name}.py").exists():  # Griffe finds the module of that name, not the function
            options = "{show_root_heading: true, show_root_toc_entry: true}"
            text += f"\n::: {room}.{name}.{name}\n    options: {options}\n"
    return text
