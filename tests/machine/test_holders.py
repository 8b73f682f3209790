"""Laws of asking for a lock's holder: it is who holds it, nobody before and after, and asking changes nothing."""

import os

from pag.machine.holders import holder
from pag.machine.locks import locked


def test_the_holder_is_the_process_that_makes_an_output(tmp_path):
    output = tmp_path / "folder/3407"
    assert holder(output) is None
    assert list(tmp_path.iterdir()) == []
    with locked(output):
        assert holder(output) == os.getpid()
        assert holder(output) == os.getpid()
        assert holder(tmp_path / "folder/1") is None
    assert holder(output) is None


def test_a_lock_that_a_killed_process_left_is_held_by_nobody(tmp_path):
    (tmp_path / ".3407.lock.partial").write_text("123", encoding="utf-8")
    assert holder(tmp_path / "3407") is None
