"""A plugin that misbehaves costs its own cells, and the message names it and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from faulty_runs import NAP, THEORIES, Drive, finish, sleeping
from patience import PATIENCE, until

from harness.store import Store

PLUGIN = '''
import ctypes, os, subprocess, sys, time
import numpy as np
from harness import Observable, Params, Trajectory, recorded_steps, task, theory

class Nothing(Params):
    """No parameters."""

def answer(problem, values=0.0, points=None, stages=None):
    """Return zeros on the test points of every stage, or something wrong."""
    found = []
    for stage in problem.protocol.stages:
        count = len(problem.data.test(stage.data).y) if points is None else points
        at = np.array([stage.steps])
        found.append({"output/test": Observable(at, np.full((1, count), values))})
    return Trajectory(tuple(found[:stages]))

def sleeper():
    return subprocess.Popen(["sleep", "NAP"])

def hang_holding_the_interpreter():
    print("about to hang")
    print("child", sleeper().pid)
    sys.stdout.flush()
    mutex = ctypes.create_string_buffer(64)
    ctypes.PyDLL(None).pthread_mutex_lock(mutex)
    ctypes.PyDLL(None).pthread_mutex_lock(mutex)

def crash():
    print("about to crash")
    sys.stdout.flush()
    sleeper()
    ctypes.string_at(0)

def allocate():
    kept = [np.ones(2**22) for _ in range(64)]  # 2 GiB: more than it may, less than there is
    while kept:
        time.sleep(1)

def complain():
    raise ValueError("half \\ud800 " + "x" * 20_000_000)

def shout(problem):
    for _ in range(50):
        print("x" * 100_000)
    return answer(problem)

def fork(problem):
    os.fork()
    return answer(problem)

def wander(problem):
    os.chdir("/")
    return answer(problem)

def define(name, act):
    @theory(name, version="1")
    class Behaviour:
        """Misbehaves."""

        def __init__(self, params: Nothing) -> None:
            pass

        def supports(self, problem):
            return None

        def predict(self, problem):
            return act(problem)

    return Behaviour

raises = define("raises", lambda p: 1 / 0)
complains = define("complains", lambda p: complain())
exits = define("exits", lambda p: sys.exit(3))
leaves = define("leaves", lambda p: os._exit(7))
crashes = define("crashes", lambda p: crash())
hangs = define("hangs", lambda p: hang_holding_the_interpreter())
allocates = define("allocates", lambda p: allocate())
not_finite = define("not-finite", lambda p: answer(p, np.nan))
few_points = define("few-points", lambda p: answer(p, points=2))
no_stages = define("no-stages", lambda p: answer(p, stages=0))
nothing = define("nothing", lambda p: None)
shouts = define("shouts", shout)
forks = define("forks", fork)
wanders = define("wanders", wander)
well = define("well", answer)
'''.replace("NAP", NAP)

MESSAGES = {
    "raises": "ZeroDivisionError: division by zero; mend it where the traceback points",
    "complains": "ValueError: half ? xxxx",
    "exits": "SystemExit: 3; mend it where the traceback points",
    "leaves": "its worker died (exit code 7)",
    "crashes": "its worker died (signal SIGSEGV)",
    "allocates": "give a larger --memory or fewer --workers",
    "not-finite": "values are not finite; mend it",
    "few-points": "output/test has shape (1, 2); there are 5 outputs on test points; mend it",
    "no-stages": "predict returned 0 stages; the protocol has 1; mend it",
    "nothing": "predict returned NoneType; a Trajectory is needed; mend it",
}
HARMLESS = ("shouts", "forks", "wanders")
MEMORY = 9 * 2**27
"""Little above what two workers use: fresh memory can take seconds a GiB on virtual machines."""


@pytest.fixture(scope="module")
def ran(
    drive: Drive, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, dict[str, Any]], str]:
    """One run of every misbehaviour beside good cells: plugin, facts by solver, and stderr."""
    folder = tmp_path_factory.mktemp("plugins")
    plugin = folder / "unruly.py"
    plugin.write_text(PLUGIN)
    names = [*MESSAGES, *HARMLESS, "well"]
    suite = folder / "suite.toml"
    suite.write_text(THEORIES.replace('["lazy-ntk", "lazy-nngp"]', json.dumps(names)))
    driver = drive(suite, folder / "results", plugin_dirs=[str(plugin)], memory=MEMORY)
    out, err = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 0, err
    until(lambda: not sleeping())  # what a plugin started is killed with its worker
    reports = json.loads(out)
    found = [
        json.loads(p.read_text()) for p in (folder / "results").glob("cells/[0-9a-f]*/cell.json")
    ]
    assert len(reports) == len(found) == len(names)
    return plugin, {f["solver"]["name"]: f for f in found}, err


@pytest.mark.parametrize("name", MESSAGES)
def test_a_misbehaving_theory_fails_alone_and_is_named(
    ran: tuple[Path, dict[str, dict[str, Any]], str], name: str
) -> None:
    plugin, facts, err = ran
    cell = facts[name]
    assert (cell["status"], cell["phase"]) == ("failed", "solve")
    assert cell["message"].startswith(f"theory '{name}' ({plugin}): ")
    assert MESSAGES[name] in cell["message"]
    assert f"lines · {name}: FAILED: {cell['message']}" in err, "the cell is named too"
    if MESSAGES[name].endswith(("mend it", "traceback points")):
        assert "unruly.py" in cell["traceback"] or "_refuse_misfit" in cell["traceback"]


@pytest.mark.parametrize("name", [*HARMLESS, "well"])
def test_the_others_go_on(ran: tuple[Path, dict[str, dict[str, Any]], str], name: str) -> None:
    assert ran[1][name]["status"] == "done"


def test_the_last_lines_are_kept_and_megabytes_are_not(
    ran: tuple[Path, dict[str, dict[str, Any]], str],
) -> None:
    _, facts, err = ran
    assert facts["crashes"]["log"].startswith("about to crash")
    assert "Fatal Python error: Segmentation fault" in facts["crashes"]["log"]
    assert "[a job printed more than 65536 bytes: left out]" in err
    assert len(err) < 200_000


def test_a_theory_that_hangs_is_stopped_after_the_timeout(drive: Drive, tmp_path: Path) -> None:
    plugin, suite = tmp_path / "unruly.py", tmp_path / "suite.toml"
    plugin.write_text(PLUGIN)
    suite.write_text(THEORIES.replace('"lazy-ntk", "lazy-nngp"', '"hangs"'))
    for timeout in (2, 20, 200, 2000):  # the longer ones are for machines on which it comes late
        results = tmp_path / str(timeout)
        driver = drive(suite, results, plugin_dirs=[str(plugin)], timeout=timeout)
        ((key, status, message),) = finish(driver)
        assert status == "failed"
        log = json.loads((results / "cells" / key / "cell.json").read_text())["log"]
        if log:
            break
    assert log.startswith("about to hang"), "the last lines are kept"
    assert message == (
        f"theory 'hangs' ({plugin}): stopped after the timeout of {timeout} s; give a longer"
        " --timeout, or fewer steps"
    )
    until(lambda: not sleeping())  # what a plugin started is killed with its worker


def test_a_worker_that_dies_is_tried_again_and_costs_its_own_experiment(
    drive: Drive, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(
        PLUGIN.partition("raises = ")[0]
        + f"mark = {str(tmp_path / 'mark')!r}\n"
        + "def once(problem):\n"
        + "    if not os.path.exists(mark):\n"
        + "        open(mark, 'w').close()\n"
        + "        os.kill(os.getpid(), 9)\n"
        + "    return answer(problem)\n"
        + "flaky = define('flaky', once)\n"
        + "@task('vanishes', version='1')\n"
        + "def vanishes(params: Nothing, seed: int):\n"
        + "    print('last words', flush=True)\n    os._exit(9)\n"
    )
    suite = THEORIES.replace('"lazy-ntk", "lazy-nngp"', '"flaky"')
    head, _, table = suite.partition("[experiment.task]")
    second = "[[experiment]]" + head.partition("[[experiment]]")[2].replace("lines", "other")
    text = f'{head}[experiment.task]{table}{second}task = {{ name = "vanishes" }}\n'
    (tmp_path / "suite.toml").write_text(text)
    options = {"plugin_dirs": [str(tmp_path / "own.py")], "retries": 1}
    reports = finish(drive(tmp_path / "suite.toml", tmp_path / "results", **options))
    assert (tmp_path / "mark").exists(), "it died once"
    assert [status for _, status, _ in reports] == ["done", "failed"]
    message = reports[-1][2]
    assert message.startswith(f"task 'vanishes' ({tmp_path / 'own.py'}): its worker died")
    kept = [manifest.traceback for manifest in Store(tmp_path / "results").manifests()]
    assert any("last words" in text for text in kept), "where the message says that they are"
