"""Room on the disk and in memory: what is needed is told before the work, disk by disk."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pag.base.errors import InputError
from pag.machine.capacity import lacks_memory, require_disk, require_memory
from pag.machine.processes import DeadWorkerError


@pytest.fixture
def free(monkeypatch):
    """Sets how many bytes are free."""

    def set_free(count):
        monkeypatch.setattr("pag.machine.capacity.shutil.disk_usage", lambda path: SimpleNamespace(free=count))
        monkeypatch.setattr("pag.machine.capacity.psutil.virtual_memory", lambda: SimpleNamespace(available=count))

    return set_free


def test_enough_is_enough(free, tmp_path):
    free(10)
    require_disk({tmp_path / "a": 4, tmp_path / "b" / "c": 6})
    require_memory(10)


def test_folders_on_one_disk_share_its_room(free, tmp_path):
    free(2_400_000_000)
    with pytest.raises(InputError, match=r"3\.0 GB are needed on the disk of .*downloads, which has 2\.4 GB free"):
        require_disk({tmp_path / "downloads": 1_000_000_000, tmp_path / "data": 2_000_000_000})


def test_folders_on_two_disks_do_not(free, tmp_path, monkeypatch):
    free(5)
    disks = {"downloads": 1, "data": 2}
    for name in disks:
        (tmp_path / name).mkdir()
    monkeypatch.setattr(Path, "stat", lambda path, **options: SimpleNamespace(st_dev=disks[path.name]))
    monkeypatch.setattr("pag.machine.capacity._existing", lambda folder: folder)
    require_disk({tmp_path / "downloads": 4, tmp_path / "data": 5})
    with pytest.raises(InputError, match="data"):
        require_disk({tmp_path / "downloads": 4, tmp_path / "data": 6})


def test_nothing_to_write_needs_no_disk(free, tmp_path):
    free(0)
    require_disk({tmp_path: 0})


def test_memory(free):
    free(1_000_000)
    with pytest.raises(InputError, match=r"2\.5 MB of memory are needed, and 1\.0 MB are available"):
        require_memory(2_500_000)


def test_memory_that_is_lacking_is_told_with_what_to_lower(free):
    free(0)
    with pytest.raises(InputError, match=r"0\.0 MB are available; lower diffusion\.batch_size\."):
        require_memory(1, key="diffusion.batch_size")


@pytest.mark.parametrize(
    ("error", "lacking"),
    [
        (MemoryError("Unable to allocate"), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (DeadWorkerError("A worker process died"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_a_want_of_memory_is_known(error, lacking):
    assert lacks_memory(error) == lacking


def test_torch_says_what_we_take_for_a_want_of_memory():
    with pytest.raises(RuntimeError) as error:
        torch.empty(10**15)
    assert lacks_memory(error.value)


def test_memory_of_a_gpu_is_its_own(free, monkeypatch):
    free(0)
    monkeypatch.setattr("pag.machine.capacity.torch.cuda.mem_get_info", lambda device: (1_000_000, 2_000_000))
    require_memory(1_000_000, torch.device("cuda"))
    with pytest.raises(InputError, match=r"2\.5 MB of memory on the GPU are needed, and 1\.0 MB are available"):
        require_memory(2_500_000, torch.device("cuda"))
