"""The server that workers are forked from: they find its modules imported, and Ctrl-C is not its to answer."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pag.machine.server import FORKS

pytestmark = pytest.mark.skipif(not FORKS, reason="Workers are not forked here.")

IMPORTED = """
import sys
from pag.machine.server import start_server

def imported(task):
    return task, "preloaded" in sys.modules, "late" in sys.modules

def prepare():
    return imported

if __name__ == "__main__":
    start_server(["no_such_module", "preloaded"])
    start_server(["late"])  # one is running
    from pag.machine.processes import run_tasks
    run_tasks(prepare, range(3), 2, lambda index, result: print(*result))
"""
INTERRUPTED = """
import signal, sys
from pag.machine.server import start_server

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has tests in the background ignore it
start_server(["preloaded"])
try:
    signal.pause()
except KeyboardInterrupt:
    sys.exit(130)
"""


def started(folder, script, module):
    (folder / "script.py").write_text(script)
    (folder / "preloaded.py").write_text(module)
    (folder / "late.py").write_text("")
    path = os.pathsep.join([str(folder), *sys.path])
    return subprocess.Popen(
        [sys.executable, folder / "script.py"], start_new_session=True, text=True, env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_workers_find_the_modules_of_the_first_start_imported(tmp_path):
    output, errors = started(tmp_path, IMPORTED, "").communicate(timeout=300)
    assert sorted(output.splitlines()) == [f"{task} True False" for task in range(3)]
    assert errors == ""


def test_an_interrupt_while_the_server_imports_is_answered_by_its_parent_alone(tmp_path):
    begun = tmp_path / "begun"
    module = f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(1)\n"
    process = started(tmp_path, INTERRUPTED, module)
    while not begun.exists() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert errors == ""


def test_what_evaluations_are_forked_from_has_no_gpu_and_no_compiler():
    code = "import stages.evaluate, torch; print(torch.cuda.is_initialized(), 'torch._dynamo' in __import__('sys').modules)"
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True)
    assert found.stdout.split() == ["False", "False"]
