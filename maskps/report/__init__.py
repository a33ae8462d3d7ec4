"""The report: one static page of measured results beside the paper's. Needs no torch."""

from maskps.report.page import ReportPage, write_report
from maskps.report.sources import Sources, read_sources

__all__ = ["ReportPage", "Sources", "read_sources", "write_report"]
