"""The report: one static page of what was measured, beside what the paper published. No torch."""

from maskps.report.page import ReportPage, write_report
from maskps.report.sources import Sources, read_sources

__all__ = ["ReportPage", "Sources", "read_sources", "write_report"]
