"""Which scheduler is meant, and every wrong address in one line before anything is done for it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dask.config
import pytest
from patience import PATIENCE

from harness.cli.verbs import cli
from harness.errors import ClusterError
from harness.execution.cluster.scheduler import check_scheduler, connect
from harness.registry import Registry


@pytest.fixture(scope="module")
def listeners() -> Iterator[dict[str, int]]:
    """Ports on which something else than a scheduler listens, or nothing."""
    ports = {}
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        ports["silent"] = silent.getsockname()[1]
        web = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        stack.callback(web.server_close)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        stack.callback(web.shutdown)
        ports["web"] = web.server_port
        with socket.create_server(("127.0.0.1", 0)) as closed:
            ports["closed"] = closed.getsockname()[1]
        yield ports


SILENT = r"no Dask scheduler answers there \(.+\); start one with `dask scheduler`"
WRONG_ADDRESSES = {
    "": "it names no host; write an address such as tcp://host:8786",
    "  ": "'  ' is no name of a host",
    "some nonsense!": "'some nonsense!' is no name of a host",
    "no-such-host.invalid": SILENT,
    "tcp://no-such-host.invalid:8786": SILENT,
    "http://127.0.0.1:8786": "Dask has no 'http'.*; it has tcp, tls,",
    "inproc://127.0.0.1/1": "Dask has no 'inproc'",
    "tpc://127.0.0.1:8786": "Dask has no 'tpc'; did you mean 'tcp'",
    "tcp://": "it names no host",
    "tcp://:8786": "it names no host",
    "tcp://127.0.0.1:port": "port 'port' is no number from 1 to 65535",
    "127.0.0.1:": "port '' is no number",
    "tcp://127.0.0.1:0": "port '0' is no number",
    "tcp://127.0.0.1:65536": "port '65536' is no number",
    "tcp://127.0.0.1:-1": "port '-1' is no number",
    "tcp://127.0.0.1:8786/x": "port '8786/x' is no number",
    "tcp://[::1:8786": "'::1:8786' is no name of a host|no Dask scheduler|port",
    "tcp://127.0.0.1:{closed}": SILENT,
    "127.0.0.1:{closed}": SILENT,
    "tcp://127.0.0.1:{silent}": SILENT,
    "tcp://127.0.0.1:{web}": SILENT,
    "ws://127.0.0.1:{web}": SILENT,
    "tls://127.0.0.1:{silent}": "tls needs a certificate; name it in Dask's configuration",
    "wss://127.0.0.1:{silent}": "wss needs a certificate",
    "ucx://127.0.0.1:{silent}": SILENT,
    "{folder}/nowhere.json": "no such file; `dask scheduler --scheduler-file",
    "{folder}/nowhere": "no such file",
    "{folder}": "is no scheduler file, a JSON object with an address",
    "{folder}/empty.json": "is no scheduler file",
    "{folder}/garbage.json": "is no scheduler file",
    "{folder}/list.json": "is no scheduler file",
    "{folder}/number.json": "is no scheduler file",
    "{folder}/wrong.json": "port 'x' is no number from 1 to 65535",
    "{folder}/gone.json": SILENT,
}
FILES = {
    "empty": "",
    "garbage": "\0\x1b[2J" * 9,
    "list": "[" * 20000,
    "number": '{"address": 8786}',
    "wrong": '{"address": "tcp://127.0.0.1:x"}',
    "gone": '{"address": "tcp://127.0.0.1:CLOSED"}',
}


@pytest.mark.parametrize("scheduler", WRONG_ADDRESSES)
def test_a_wrong_address_is_said_in_one_line(
    scheduler: str, listeners: dict[str, int], tmp_path: Path
) -> None:
    for name, text in FILES.items():
        closed = str(listeners["closed"])
        (tmp_path / f"{name}.json").write_text(text.replace("CLOSED", closed))
    given = scheduler.format(folder=tmp_path, **listeners)
    with pytest.raises(ClusterError) as caught, connect(given, patience=0.3):
        pass
    line = str(caught.value)
    assert line.isprintable() and line.startswith("--scheduler ")
    assert re.search(WRONG_ADDRESSES[scheduler], line), line


# Dask's own cluster, in this process, leaves a connection to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_dask_worker_is_no_scheduler() -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, processes=False, protocol="tcp", dashboard_address=":0") as one:
        address = one.workers[0].address
        with pytest.raises(ClusterError, match="a Dask worker answers there, no scheduler"):
            check_scheduler(address, patience=60.0)
        check_scheduler(one.scheduler_address, patience=60.0)
    del one
    gc.collect()  # here, where it is expected, and not in whatever test comes next


def test_a_configured_address_is_checked_and_a_missing_one_is_said() -> None:
    with (
        dask.config.set({"scheduler-address": "tcp://127.0.0.1:x"}),
        pytest.raises(ClusterError, match=r"'config: tcp://127.0.0.1:x': port 'x' is no number"),
        connect("config"),
    ):
        pass
    words = "--scheduler config: Dask's configuration has neither scheduler-address nor"
    with pytest.raises(ClusterError, match=words), connect("config"):
        pass


@pytest.mark.parametrize("verb", ["run", "worker-check"])
def test_an_address_is_checked_before_anything_is_loaded_for_it(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*_: Any) -> Any:
        raise AssertionError("plugins were loaded")

    monkeypatch.setattr(Registry, "load", loaded)
    arguments = ["worker-check", "a:b"] if verb != "run" else ["run", "smoke", "--scheduler", "a:b"]
    with pytest.raises(ClusterError, match="port 'b' is no number"):
        cli.main(arguments, standalone_mode=False)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_config_starts_the_cluster_that_dask_is_configured_for_and_ends_it() -> None:
    options = {"n_workers": 0, "processes": False, "dashboard_address": ":0"}
    settings = {"class": "distributed.LocalCluster", "options": options, "scale": {"n": 1}}
    with dask.config.set({"limitbench.cluster": settings}), connect("config") as client:
        client.wait_for_workers(1, timeout=PATIENCE)
        cluster = client.cluster
    assert cluster is not None
    assert cluster.status.name == "closed"
    del client, cluster
    gc.collect()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"class": "no_such_package.Cluster"}, "No module named 'no_such_package'"),
        (
            {
                "class": "distributed.LocalCluster",
                "options": {"colour": 1, "dashboard_address": ":0"},
            },
            "did not start",
        ),
    ],
)
def test_a_wrong_configuration_is_said_in_one_line(settings: dict[str, Any], words: str) -> None:
    with (
        dask.config.set({"limitbench.cluster": settings}),
        pytest.raises(ClusterError, match=words),
        connect("config"),
    ):
        pass


def test_without_distributed_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(ClusterError, match=r"install it with pip install 'limitbench\[cluster\]'"),
        connect("tcp://127.0.0.1:1"),
    ):
        pass


@pytest.mark.parametrize(
    ("scheme", "error", "said"),
    [
        ("tcp", MemoryError("Unable to allocate 3.07 EiB"), "another program does"),
        ("ucx", TypeError("Can't instantiate abstract class"), "packages that Dask needs for ucx"),
    ],
)
def test_what_a_library_makes_of_an_answer_is_said_in_our_words(
    listeners: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    error: Exception,
    said: str,
) -> None:
    def greeting(address: str, patience: float) -> None:
        raise error

    monkeypatch.setattr("harness.execution.cluster.scheduler._greeting", greeting)
    with pytest.raises(ClusterError, match=said) as raised:
        check_scheduler(f"{scheme}://127.0.0.1:{listeners['silent']}")
    assert str(error) not in str(raised.value)


def test_a_scheduler_is_checked_from_within_an_event_loop() -> None:
    """As a notebook has one, and a browser that a test drives."""

    told: list[str] = []

    async def check() -> None:
        with pytest.raises(ClusterError, match="no Dask scheduler answers there") as raised:
            check_scheduler("tcp://127.0.0.1:1", patience=0.3)
        told.append(str(raised.value))

    thread = threading.Thread(target=asyncio.run, args=[check()])
    thread.start()
    thread.join()
    assert len(told) == 1 and "event loop" not in told[0]
