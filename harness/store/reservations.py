"""Reservations of cells: several runs on one folder, on one machine or many, compute each once."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from harness.errors import StoreError
from harness.store.cells import Store
from harness.store.files import cause, clear, leftover, not_a_file
from harness.store.mark import FOLDERS

if sys.platform != "win32":
    import fcntl

LOCK = ".lock"
RUN = 2**62
"""Byte of the lock file on which every run on the folder holds a shared lock."""

OLD = 3600.0
"""Seconds after which a temporary file among the derived files belongs to a killed writer.

Derived files are written without a reservation, in a moment.
"""

WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL}


class Reservations:
    """Reservations of the cells of a results folder that this run computes.

    A reservation is an advisory lock on one byte of ``DIR/.lock``, which the operating system (and
    the server of a shared folder) releases when its owner dies, however it dies. A run that finds
    itself alone removes leftovers of killed writers.

    Args:
        store: the results folder; made if it does not exist.

    Attributes:
        swept: removed leftovers of killed writers.

    Raises:
        StoreError: if the folder holds anything but results, or cannot be written.
    """

    def __init__(self, store: Store) -> None:
        store.prepare()
        self._store, self._path = store, store.root / LOCK
        if reason := not_a_file(self._path):
            raise StoreError(f"{self._path}: cannot be locked ({reason}); remove it")
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            self._file = os.open(self._path, flags, 0o644)
        except OSError as error:
            raise StoreError(
                f"{store.root}: cannot be written ({cause(error)}); make it writable, or give"
                " another folder"
            ) from error
        self._locks = sys.platform != "win32"
        self.swept = sweep(store) if self.alone() else []
        self._lock(RUN, shared=True, wait=True)

    def __enter__(self) -> Reservations:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.alone():
            sweep(self._store)
        os.close(self._file)

    def alone(self) -> bool:
        """Return whether no other run uses the folder, and keep others out if so."""
        return self._lock(RUN)

    def take(self, keys: Iterable[str]) -> bool:
        """Reserve cells, all or none; return False while another run has reserved one of them."""
        taken: list[str] = []
        for key in keys:
            if not self._lock(_byte(key)):
                self.release(taken)
                return False
            taken.append(key)
        return True

    def release(self, keys: Iterable[str]) -> None:
        """Release cells."""
        for key in keys:
            if self._locks and sys.platform != "win32":
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _byte(key))

    def check(self) -> None:
        """Raise StoreError if the folder has gone since the run began."""
        try:
            there = os.path.samestat(os.lstat(self._path), os.fstat(self._file))
        except OSError:
            there = False
        if not there:
            raise StoreError(
                f"{self._path.parent}: removed or replaced while the run was going on; the run"
                " stopped; restore the folder or choose another with --results, then run again"
            )

    def _lock(self, byte: int, shared: bool = False, wait: bool = False) -> bool:
        if not self._locks or sys.platform == "win32":
            return True
        how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
        try:
            fcntl.lockf(self._file, how, 1, byte)
        except OSError as error:
            if error.errno in WITHOUT_LOCKS:
                logging.getLogger("harness.store").warning(
                    "%s: its file system has no locks; let one run at a time use it",
                    self._path.parent,
                )
                self._locks = False
                return byte != RUN  # other runs are possible: sweep nothing
            if error.errno in {errno.EACCES, errno.EAGAIN}:
                return False
            raise StoreError(f"{self._path}: cannot be locked ({error.strerror})") from error
        return True


def leftovers(store: Store) -> list[Path]:
    """Return the leftovers of killed writers; valid only while no run is going on.

    Raises:
        StoreError: if one of the folders is a link.
    """
    found = [p for p in sorted(store.root.glob(".*.tmp")) if leftover(p) and _is_old(p)]
    for name in FOLDERS:
        found += [p for p in sorted(store.folder(name).glob(".*.tmp")) if leftover(p)]
    return found


def sweep(store: Store) -> list[Path]:
    """Remove `leftovers`, and return the removed paths; no run may be going on."""
    swept = []
    for path in leftovers(store):
        with contextlib.suppress(OSError):  # another host may still see it; the next run retries
            if path.is_dir():
                clear(path)
            else:
                path.unlink()
            swept.append(path)
    return swept


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > OLD
    except OSError:
        return False


def _byte(key: str) -> int:
    return int(key[:15], 16)


def folder_in_use(path: Path) -> StoreError:
    """Return the error for a folder that another run uses."""
    return StoreError(f"{path}: a run is going on here; try again when it has ended")
