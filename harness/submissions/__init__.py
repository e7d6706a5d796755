"""Submissions: the cells of results folders in one file, as data of which nothing is run."""

from harness.submissions.file import Header, read_header, read_rows
from harness.submissions.pack import pack, unpack
from harness.submissions.thin import scored_part

__all__ = ["Header", "pack", "read_header", "read_rows", "scored_part", "unpack"]
