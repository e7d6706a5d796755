"""Print the images that an experiment of a suite draws, as its task's parameter `images`.

Run `python docs/listed_images.py SUITE EXPERIMENT`, with the data set at hand, and paste the list
into the suite: others then draw the same images, also from more of the data set. A name without a
point of a sweep stands for all its points.
"""

from __future__ import annotations

import sys

from harness import Registry
from harness.errors import LimitbenchError, SuiteError, nearest
from harness.suites import load_suite
from harness.suites.names import swept_parameters

LINE = 100


def main(suite: str, experiment: str) -> None:
    """Print names of images as a list in TOML, at most `LINE` characters a line."""
    registry = Registry.load()
    found = load_suite(suite, registry).experiments
    chosen = [e for e in found if experiment in (e.name, swept_parameters(e.name)[0])]
    if not chosen:
        hint = nearest(experiment, [e.name for e in found])
        raise SuiteError(f"suite {suite!r} has no experiment {experiment!r}{hint}")
    names: set[str] = set()
    for each in chosen:
        component = registry.get("task", each.task.name)
        drawn_names = getattr(sys.modules[component.make.__module__], "drawn_names", None)
        if drawn_names is None:
            raise SuiteError(f"{each.name}: task {each.task.name!r} does not draw images")
        names.update(drawn_names(component.parse(each.task.parameters), each.data_seed))
    entries = [f'"{name}",' for name in sorted(names)]
    share = (LINE - 3) // (len(entries[0]) + 1)
    rows = [" ".join(entries[i : i + share]) for i in range(0, len(entries), share)]
    print("images = [", *(f"    {row}" for row in rows), "]", sep="\n")  # noqa: T201


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python docs/listed_images.py SUITE EXPERIMENT")
    try:
        main(*sys.argv[1:])
    except LimitbenchError as error:
        sys.exit(f"error: {error}")
