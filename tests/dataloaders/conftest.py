"""What the tests of the data sets share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Keep each test's object indices to itself."""
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def real_data():
    """The folder of real data that DEXTR_TEST_DATA names."""
    folder = os.environ.get("DEXTR_TEST_DATA")
    if not folder:
        pytest.skip("DEXTR_TEST_DATA names no folder of real data")
    return Path(folder)
