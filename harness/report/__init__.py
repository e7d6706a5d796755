"""The report: figures of an experiment, and one offline HTML page of a results folder.

The functions of `harness.report.figures` are for notebooks too.
"""

from harness.report.page import write_report

__all__ = ["write_report"]
