"""For all tests: one thread, no deadlines (nothing may depend on the load), and torch and the environment as they were."""

import os
from unittest.mock import patch

import pytest
import torch
from hypothesis import settings

settings.register_profile("pag", deadline=None)
settings.load_profile("pag")


def pytest_collection_modifyitems(items):
    """The longest file first: no worker is left with it alone at the end."""
    items.sort(key=lambda item: "pipeline" not in item.keywords)


@pytest.fixture(autouse=True)
def _settings():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with patch.dict(os.environ):
        yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("default")
