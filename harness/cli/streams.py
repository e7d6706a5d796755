"""Standard streams whose faults end no command: files are written whatever happens to the output.

A terminal may lack a character, a reader may have gone, a disk may be full, and a stream may be
closed. Output that cannot be written is dropped, and the command goes on; at its end, `settled`
reports a fault of standard output.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from typing import Any, TextIO

from harness.errors import OutputError

ASCII = "limitbench_ascii"
"""ASCII by another name: click takes a stream of ASCII for a mistake, and writes UTF-8 to it."""


class Unfailing(io.RawIOBase):
    """The bytes of a standard stream; after a fault, further output is dropped.

    Attributes:
        fault: first fault of the stream; None before.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.fault: OSError | None = None

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the number of the stream."""
        number: int = self._stream.fileno()
        return number

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return bool(self._stream.isatty())

    def write(self, data: Any) -> int:
        """Write all bytes, or none of those after a fault."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest and self.fault is None:
                count = self._stream.write(rest)
                if count is None:  # it does not block, and is full
                    select.select([], [self._stream], [])
                rest = rest[count or 0 :]
        except OSError as error:
            self.fault = error
        return size


def guard_streams() -> None:
    """Replace standard output and standard error by streams whose faults end no command.

    A closed standard stream is opened on the null device: else the next file that is opened takes
    its number, and receives the output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    codecs.register(_ascii)
    sys.stdout = _guarded(sys.stdout, 1)
    sys.stderr = _guarded(sys.stderr, 2)


def lost() -> OSError | None:
    """Return the fault of standard output; None if there was none."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.fault if isinstance(raw, Unfailing) else None


def settled(code: int) -> int:
    """Return a command's status once all its output is written.

    A reader that has gone, as in ``limitbench leaderboard DIR | head -1``, wanted no more.

    Raises:
        OutputError: if standard output could not be written.
    """
    sys.stdout.flush()
    fault = lost()
    if fault is not None and fault.errno != errno.EPIPE:
        raise OutputError(
            f"standard output cannot be written ({fault.strerror or fault}); the output"
            " is lost, all files are written: send it elsewhere"
        )
    return code


def _ascii(name: str) -> codecs.CodecInfo | None:
    known = codecs.lookup("ascii")
    return (
        None
        if name != ASCII
        else codecs.CodecInfo(
            known.encode,
            known.decode,
            incrementalencoder=known.incrementalencoder,
            incrementaldecoder=known.incrementaldecoder,
            name=ASCII,
        )
    )


def _guarded(stream: TextIO | None, number: int) -> TextIO:
    """Return a replacement for a stream, which also replaces characters that the stream lacks."""
    raw: Any
    if stream is None:  # closed when the program started
        raw, encoding = io.FileIO(number, "w", closefd=False), "utf-8"
    else:
        raw, encoding = getattr(stream.buffer, "raw", stream.buffer), stream.encoding
        if codecs.lookup(encoding).name == "ascii":
            encoding = ASCII
    return io.TextIOWrapper(
        io.BufferedWriter(Unfailing(raw)),
        encoding=encoding,
        errors="replace",
        line_buffering=number == 2 or raw.isatty(),
    )
