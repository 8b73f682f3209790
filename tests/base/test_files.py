"""Laws of outputs that are written whole: what is finished replaces what was there, and DVC's own file in a folder stays."""

from pathlib import Path

import faults
import pytest

from pag.base.files import discard, put_copy, recover, replace, written_whole


def write(destination, names):
    with written_whole(destination) as folder:
        folder.mkdir()
        for name in names:
            (folder / name).write_text("new", encoding="utf-8")


def contents(folder):
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


@pytest.fixture
def cell(tmp_path):
    """A folder with an earlier output."""
    folder = tmp_path / "cell"
    folder.mkdir()
    (folder / "old.csv").write_text("old", encoding="utf-8")
    return folder


def test_a_new_folder_takes_the_place_of_the_old_one(cell):
    write(cell, ["new.csv"])
    assert contents(cell) == {"new.csv": "new"}
    assert list(cell.parent.iterdir()) == [cell]


def test_a_folder_where_nothing_was_has_what_was_written(tmp_path):
    write(tmp_path / "a" / "cell", ["new.csv"])
    assert contents(tmp_path / "a" / "cell") == {"new.csv": "new"}


def test_on_an_error_all_stays(cell):
    before = contents(cell)
    with pytest.raises(FileNotFoundError):
        write(cell, ["new.csv", "no folder/new.csv"])
    assert contents(cell) == before
    assert list(cell.parent.iterdir()) == [cell]


def tree(path):
    return path.read_text(encoding="utf-8") if path.is_file() else contents(path)


def make(path, folder, text):
    """A file or a folder with two files."""
    if not folder:
        path.write_text(text, encoding="utf-8")
        return
    path.mkdir(exist_ok=True)
    for name in ("a", "b"):
        (path / name).write_text(text, encoding="utf-8")


WAYS = {"moved": replace, "copied": put_copy}


@pytest.fixture(params=[False, True], ids=["one disk", "two disks"])
def disks(request, tmp_path, monkeypatch):
    """Two folders, on one file system or on two."""
    monkeypatch.chdir(tmp_path)
    for name in ("work", "data"):
        Path(name).mkdir()
    if request.param:
        faults.two_disks(monkeypatch, "data")
    return Path("work/source"), Path("data/output")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("new_is_folder", [False, True])
@pytest.mark.parametrize("old_is_folder", [None, False, True])
def test_what_is_finished_takes_its_place_from_any_disk(disks, way, new_is_folder, old_is_folder):
    source, output = disks
    make(source, new_is_folder, "new")
    new = tree(source)
    if old_is_folder is not None:
        make(output, old_is_folder, "old")
    WAYS[way](source, output)
    assert tree(output) == new
    assert list(output.parent.iterdir()) == [output]
    assert source.exists() == (way == "copied")


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
@pytest.mark.parametrize("way", [*WAYS, "written"])
def test_a_process_that_is_killed_leaves_the_old_output_or_the_new_one(disks, way, folder):
    source, output = disks

    def begin():
        for path in (source, output):
            discard(path)
        make(output, folder, "old")
        make(source, folder, "new")

    def work():
        if way == "written":
            with written_whole(output) as partial:
                make(partial, folder, "new")
        elif source.exists():
            WAYS[way](source, output)

    begin()
    old, new = tree(output), tree(source)
    for number in range(len(faults.changes(work))):
        begin()
        faults.killed_at(work, number)
        recover(output)
        assert tree(output) in (old, new)
        work()
        assert tree(output) == new
        assert list(output.parent.iterdir()) == [output]


def test_a_folder_is_there_whole_or_not_at_all_while_it_is_discarded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("folder")
    make(folder, True, "old")
    count = len(faults.changes(lambda: discard(folder)))
    for number in range(count):
        make(folder, True, "old")
        faults.killed_at(lambda: discard(folder), number)
        assert not folder.exists() or contents(folder) == {"a": "old", "b": "old"}
        discard(folder)
        assert list(tmp_path.iterdir()) == []
