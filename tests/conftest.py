"""For all tests: one thread, since what is compared must not depend on the machine's load; and torch's settings as they were."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _torch_settings():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
