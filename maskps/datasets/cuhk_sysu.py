"""CUHK-SYSU as released: its annotation files, read into scene tables."""

from __future__ import annotations

from maskps.datasets.cuhk_sysu_layout import available_protocols, protocol_path
from maskps.datasets.cuhk_sysu_writer import write_cuhk_sysu

__all__ = ["available_protocols", "protocol_path", "write_cuhk_sysu"]
