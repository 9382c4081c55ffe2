"""Machine code is read only where no other user can have written it."""

import os
import pickle
from pathlib import Path

import pytest
from calls import python

from fastbp.kernels import _jit
from fastbp.kernels._private import private_folder, read_private, writing_private

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="users have no numbers here")
needs_root = pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="only root gives files away")
SOMEBODY = 54321


def mode(path):
    return os.stat(path).st_mode & 0o7777


@pytest.fixture
def umask():
    """Newly made things can be written by everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_new_folders_and_files_are_for_this_user_alone(tmp_path):
    folder = private_folder(str(tmp_path / "a" / "b"))
    file = f"{folder}/file"
    with writing_private(file) as writer:
        writer.write(b"1")
    assert [mode(tmp_path / "a"), mode(folder), mode(file)] == [0o700, 0o700, 0o600]
    assert read_private(file) == b"1"
    assert os.listdir(folder) == ["file"]


def test_a_file_that_could_not_be_written_whole_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), writing_private(str(tmp_path / "file")):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("bits", [0o720, 0o702, 0o777, 0o1777])
def test_a_folder_that_others_can_write_to_is_refused(tmp_path, bits):
    tmp_path.chmod(bits)
    with pytest.raises(PermissionError, match=f"{tmp_path} can be written by other users"):
        private_folder(str(tmp_path))


@pytest.mark.parametrize("bits", [0o720, 0o702, 0o777])
def test_so_is_one_below_such_a_folder(tmp_path, bits):
    folder = private_folder(str(tmp_path / "open" / "mine"))
    (tmp_path / "open").chmod(bits)
    with pytest.raises(PermissionError, match="open can be written by other users"):
        private_folder(folder)


def test_but_not_below_a_sticky_one_where_nobody_can_replace_it(tmp_path):
    (tmp_path / "sticky").mkdir()
    (tmp_path / "sticky").chmod(0o1777)
    folder = tmp_path / "sticky" / "mine"
    assert private_folder(str(folder)) == str(folder)


@needs_root
@pytest.mark.parametrize("whose", ["folder", "parent"])
def test_a_folder_of_another_user_is_refused(tmp_path, whose):
    folder = Path(private_folder(str(tmp_path / "parent" / "folder")))
    given = folder if whose == "folder" else folder.parent
    os.chown(given, SOMEBODY, SOMEBODY)
    with pytest.raises(PermissionError, match=f"{given} belongs to another user"):
        private_folder(str(folder))


@needs_root
def test_what_belongs_to_root_is_as_good_as_what_is_ones_own(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)
    folder = private_folder(str(tmp_path / "of root"))
    os.chown(folder, SOMEBODY, SOMEBODY)
    assert private_folder(folder) == folder


def test_a_link_is_followed_to_where_it_leads(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to("mine")
    assert private_folder(str(tmp_path / "link")) == str(tmp_path / "mine")
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "other").symlink_to("open")
    with pytest.raises(PermissionError, match="open can be written by other users"):
        private_folder(str(tmp_path / "other"))


def test_no_file_is_read_through_a_link_nor_one_that_is_no_file(tmp_path):
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="link"):
        read_private(str(tmp_path / "link"))
    with pytest.raises(PermissionError, match="pipe is no regular file"):
        read_private(str(tmp_path / "pipe"))


@pytest.mark.parametrize("bits", [0o620, 0o602])
def test_no_file_is_read_that_others_can_write(tmp_path, bits):
    file = tmp_path / "file"
    file.write_bytes(b"1")
    file.chmod(bits)
    with pytest.raises(PermissionError, match="file can be written by other users"):
        read_private(str(file))


# ---- The cache ----


class Attack:
    """What runs when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def attack(index, trace):
    """Put the attack in place of an index, behind the digest that it has to have."""
    _jit.CheckedFile(str(index.parent), index.stem, _jit.build_tag())._save_index(Attack(trace))


def plant(kept, suffix, trace):
    """Put the attack in place of the cache's files with the suffix."""
    files = [file for file in kept.files() if file.suffix == suffix]
    for file in files:
        if suffix == ".nbi":
            attack(file, trace)
        else:
            file.write_bytes(pickle.dumps(Attack(trace)))
    return files


def test_the_attack_works_on_ones_own_files(kept, tmp_path):
    plant(kept, ".nbi", tmp_path / "trace")
    assert kept() == (True, True)
    assert (tmp_path / "trace").exists()


def test_a_planted_index_is_not_unpickled(kept, tmp_path):
    for file in plant(kept, ".nbi", tmp_path / "trace"):
        file.chmod(0o666)
    assert kept() == (True, True)
    assert not (tmp_path / "trace").exists()
    assert kept() == (True, False), "it was replaced"


@needs_root
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_nor_is_a_file_of_another_user(kept, tmp_path, suffix):
    for file in plant(kept, suffix, tmp_path / "trace"):
        os.chown(file, SOMEBODY, SOMEBODY)
    assert kept() == (True, True)
    assert not (tmp_path / "trace").exists()


def test_nothing_is_read_from_a_shared_folder_nor_kept_there(kept, tmp_path):
    plant(kept, ".nbi", tmp_path / "trace")
    before = kept.files()
    (folder,) = kept.cache.iterdir()
    folder.chmod(0o1777)
    assert kept() == (True, True)
    assert kept.files() == before
    assert not (tmp_path / "trace").exists()
    assert _jit.REFUSED[str(folder)] == f"{folder} can be written by other users"


INFO = """
import sys
from fastbp import cli
cli.main(["info"])
"""


def test_info_says_whether_the_cache_is_used_and_why_not(tmp_path):
    assert f"  {tmp_path}/private" in python(INFO, NUMBA_CACHE_DIR=tmp_path / "private")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    line = f"none, so that every process compiles anew: {tmp_path}/shared can be written by other users"
    assert line in python(INFO, NUMBA_CACHE_DIR=tmp_path / "shared")


def test_without_a_named_folder_the_users_own_comes_after_the_one_beside_the_sources(victim, tmp_path, monkeypatch):
    monkeypatch.setattr(_jit.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    victim.cache = tmp_path
    assert victim() == (True, True)
    assert {file.parent for file in victim.files()} == {tmp_path / "__pycache__"}
    for file in victim.files():
        file.unlink()
    (tmp_path / "__pycache__").chmod(0o777)
    assert victim() == (True, True)
    assert {file.relative_to(tmp_path).parts[:2] for file in victim.files()} == {("home", "numba")}
