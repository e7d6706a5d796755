"""`limitbench results`."""

from __future__ import annotations

import contextlib

import click

from harness.cli.common import complete_folder, counted, load_registry, plugin_dir_option
from harness.cli.layout import print_entry, say, wide_option


@click.group("results")
def command() -> None:
    """Check a results folder, or remove useless cells from it."""


@command.command("verify")
@wide_option
@click.argument("folder", metavar="DIR", shell_complete=complete_folder)
@plugin_dir_option
def verify_command(folder: str, plugin_dirs: tuple[str, ...]) -> int:
    """Check every cell of a results folder against its checksums.

    Prints a line for each file that is broken, foreign or of another version, beginning with its
    path; such files are never taken for results. Components whose source has changed since cells
    were computed are listed on stderr. Exit status: 0 if nothing is broken, else 1.
    """
    from harness.store import Store
    from harness.store.care import Sources, verify

    store, sources = Store(folder), Sources()
    faults = 0
    for fault in verify(store, sources):
        path, _, reason = fault.partition(": ")
        print_entry(path, reason)
        faults += 1
    for line in sources.changed(load_registry(plugin_dirs)):
        say(line, err=True)
    cells = counted(len(store.folders()), "cell")
    say(f"{cells} checked, {counted(faults, 'fault')} found", err=True)
    return 1 if faults else 0


@command.command("prune")
@wide_option
@click.argument("folder", metavar="DIR", shell_complete=complete_folder)
@plugin_dir_option
@click.option("--dry-run", is_flag=True, help="List all that would be removed; remove nothing.")
def prune_command(folder: str, plugin_dirs: tuple[str, ...], dry_run: bool) -> None:
    """Remove cells that failed, are broken, or are of other versions of components.

    Half-written files of killed runs are removed as well. Results of a newer limitbench, and of
    components that are not installed, are kept, and so is everything that limitbench did not write.
    """
    from harness.store import Store
    from harness.store.care import remove, stale
    from harness.store.reservations import Reservations, folder_in_use, leftovers

    store = Store(folder)
    store.require_mark()
    count = 0
    with contextlib.nullcontext() if dry_run else Reservations(store) as reservations:
        if reservations is not None and not reservations.alone():
            raise folder_in_use(store.root)
        half = leftovers(store) if reservations is None else reservations.swept
        for path in half:
            print_entry(str(path), "half-written by a run that was killed")
        for path, reason in stale(store, load_registry(plugin_dirs)):
            if not dry_run:
                remove(path)
            print_entry(str(path), reason)
            count += 1
    done = "would be removed" if dry_run else "removed"
    also = f", {len(half)} half-written files and folders" if half else ""
    say(f"{counted(count, 'cell')}{also} {done}", err=True)
