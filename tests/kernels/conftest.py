"""Settings of the kernel tests."""

import pytest
from calls import copied_checkout
from numba.core import config
from victim import Victim


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """A copy of the package whose kernels are not compiled yet, whichever way the one that is tested was installed."""
    return copied_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def victim(tmp_path, monkeypatch):
    victim = Victim(tmp_path)
    monkeypatch.setattr(config, "CACHE_DIR", str(victim.cache))
    return victim


@pytest.fixture
def kept(victim):
    """The victim with its machine code on disk."""
    assert victim() == (True, True)
    assert {file.suffix for file in victim.files()} == {".nbi", ".nbc"}
    assert victim() == (True, False)
    return victim
