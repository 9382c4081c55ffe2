"""How a file comes to its place: whose it is, through which name, and what a killed process leaves behind."""

import os
import signal
import stat
import subprocess
import sys

import pytest

import fastbp
from fastbp.files import _files
from fastbp.files._files import open_regular, part_of, target_of, write_whole


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# ---- Permissions ----


@pytest.mark.parametrize("before", [0o600, 0o640, 0o664])
def test_a_file_keeps_the_permissions_of_the_one_it_replaces(path, before, umask):
    path.write_bytes(b"old")
    path.chmod(before)
    fastbp.mlp([4, 3]).save(path)
    assert mode(path) == before


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_new_file_has_the_permissions_of_the_umask(path, mask, expected, umask):
    umask(mask)
    fastbp.mlp([4, 3]).save(path)
    assert mode(path) == expected


def test_what_is_to_be_private_is_so_while_it_is_written(path):
    path.write_bytes(b"old")
    path.chmod(0o600)
    with part_of(target_of(path)) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600


def test_and_before_it_has_the_permissions_of_the_other(path, monkeypatch, umask):
    hand_on, modes = _files._hand_on, []

    def handed_on(descriptor, replaced):
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        hand_on(descriptor, replaced)

    monkeypatch.setattr(_files, "_hand_on", handed_on)
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_whole(path, b"new")
    assert (modes, mode(path)) == ([0o600], 0o644)


def test_a_group_that_cannot_be_kept_gains_nothing(path, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    path.write_bytes(b"old")
    path.chmod(0o664)
    real = os.stat_result
    replaced = path.stat()
    other = real([*replaced[:5], replaced.st_gid + 1, *replaced[6:]])
    monkeypatch.setattr(type(path), "stat", lambda *_, **__: other)
    monkeypatch.setattr(os, "fchown", refused)
    with part_of(path) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o644


@pytest.mark.skipif(os.getuid() != 0, reason="others cannot give a file to a group that they are not in")
def test_a_group_is_kept_and_the_owner_is_who_writes(path):
    path.write_bytes(b"old")
    os.chown(path, -1, 54321)
    path.chmod(0o664)
    write_whole(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid, mode(path)) == (0, 54321, 0o664)


# ---- On the disk, in which order ----


def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_before_it_returns(path, monkeypatch):
    done, sync, replace, opened = [], os.fsync, os.replace, len(os.listdir("/dev/fd"))

    def synced(descriptor):
        status = os.fstat(descriptor)
        done.append("folder" if stat.S_ISDIR(status.st_mode) else status.st_size)
        sync(descriptor)

    def replaced(part, target):
        done.append("name")
        replace(part, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write_whole(path, b"abc", b"de")
    assert done == [5, "name", "folder"]
    assert len(os.listdir("/dev/fd")) == opened


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux which files are open")
@pytest.mark.parametrize("locks", [True, False])
def test_the_lock_is_kept_until_the_file_has_its_name_and_without_locks_it_is_closed(path, monkeypatch, locks):
    """As Windows wants it, which has no locks of this kind."""
    replace, opened = os.replace, []

    def replaced(part, target):
        descriptors = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        opened.append(sum(os.path.exists(fd) and os.path.samefile(fd, part) for fd in descriptors))
        replace(part, target)

    monkeypatch.setattr(os, "replace", replaced)
    if not locks:
        monkeypatch.setattr(_files, "fcntl", None)
    write_whole(path, b"abc")
    assert opened == [int(locks)]
    assert path.read_bytes() == b"abc"


# ---- Names, links and what is no file ----


def test_two_writers_never_have_one_part_file_and_its_name_cannot_be_foreseen(path):
    with part_of(target_of(path)) as one, part_of(target_of(path)) as other:
        names = {os.path.basename(file.name) for file in (one, other)}
        assert len(names) == 2
        assert all(name.startswith(".net.safetensors-") and name.endswith(".part") for name in names)
        assert sorted(os.listdir(path.parent)) == sorted(names)


def test_a_link_put_in_the_place_of_the_part_file_is_not_followed(path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda n: "0" * 2 * n)  # an attacker who can see into the future
    with part_of(target_of(path)) as file:
        name = file.name
    (path.parent / "other").write_text("kept")
    os.symlink(path.parent / "other", name)
    with pytest.raises(FileExistsError):
        write_whole(path, b"new")
    assert (path.parent / "other").read_text() == "kept"


@pytest.mark.parametrize("place", ["fifo", "folder", os.devnull])
def test_what_is_no_regular_file_is_neither_replaced_nor_read(place, tmp_path):
    path = tmp_path / place
    if place == "fifo":
        os.mkfifo(path)
    elif place == "folder":
        path.mkdir()
    before = os.stat(path)
    for function in (fastbp.mlp([4, 3]).save, fastbp.load, fastbp.mlp([4, 3]).to_c):
        with pytest.raises(OSError, match=rf"not a regular file: '{path}'$"):
            function(path)
    assert os.path.samestat(before, os.stat(path))


def test_a_fifo_that_comes_in_place_of_the_file_meanwhile_is_not_waited_for(path, monkeypatch):
    (path.parent / "file").touch()
    regular = os.stat(path.parent / "file")
    os.mkfifo(path)
    monkeypatch.setattr(os, "stat", lambda *_: regular)
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(path)


def test_an_error_names_the_file_and_not_its_part_file(path, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied", "x.part")

    monkeypatch.setattr(os, "open", refused)
    monkeypatch.setattr(os, "listdir", refused)
    with pytest.raises(PermissionError, match=rf"Permission denied: '{path}'$"):
        write_whole(path, b"")


def test_a_long_name_is_as_good_as_a_short_one(tmp_path):
    path = tmp_path / ("ü" * 127)  # 254 bytes of at most 255
    fastbp.mlp([4, 3]).save(path)
    assert os.listdir(tmp_path) == [path.name]


# ---- What a killed process leaves ----

WRITER = """if True:
    import os, signal, sys
    from fastbp.files._files import part_of, target_of
    with part_of(target_of(sys.argv[1])) as file:
        file.write(b"half of a f")
        file.flush()
        os.kill(os.getpid(), signal.{end})
"""


def test_the_next_save_removes_what_a_killed_one_left(path):
    killed = subprocess.run([sys.executable, "-c", WRITER.format(end="SIGKILL"), path], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    (left,) = os.listdir(path.parent)
    others = ["net.safetensors.part", f"{left}.txt", left.replace("net", "new")]
    for name in others:
        (path.parent / name).touch()
    fastbp.mlp([4, 3]).save(path)
    assert sorted(os.listdir(path.parent)) == sorted([*others, path.name])


def test_what_another_user_left_is_left_alone(path, monkeypatch):
    with part_of(target_of(path)) as file:
        left = file.name
    open(left, "x").close()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    write_whole(path, b"abc")
    assert os.path.exists(left)
    monkeypatch.undo()
    write_whole(path, b"abc")
    assert os.listdir(path.parent) == [path.name]


def test_the_part_file_of_a_writer_that_lives_is_left_alone(path):
    with subprocess.Popen([sys.executable, "-c", WRITER.format(end="SIGSTOP"), path]) as writer:
        os.waitid(os.P_PID, writer.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            (part,) = os.listdir(path.parent)
            fastbp.mlp([4, 3]).save(path)
            assert sorted(os.listdir(path.parent)) == sorted([part, path.name])
        finally:
            writer.kill()


@pytest.mark.parametrize("stands", [False, True])
def test_a_part_file_that_another_writer_removes_before_it_is_locked_is_made_again(path, monkeypatch, stands):
    lock, removed, opened = _files._lock, [], len(os.listdir("/dev/fd"))

    def late(file):
        if not removed:
            removed.append(file.name)
            os.unlink(file.name)
            if stands:
                path.with_name("other").rename(file.name)
        return lock(file)

    path.with_name("other").touch()
    monkeypatch.setattr(_files, "_lock", late)
    write_whole(path, b"abc")
    assert path.read_bytes() == b"abc"
    (other,) = set(os.listdir(path.parent)) - {path.name}
    assert other == (os.path.basename(removed[0]) if stands else "other")
    assert len(os.listdir("/dev/fd")) == opened


@pytest.mark.parametrize("gone", [False, True])
def test_an_interrupt_while_it_is_locked_leaves_nothing(path, monkeypatch, gone):
    opened = len(os.listdir("/dev/fd"))

    def interrupted(file):
        if gone:
            os.unlink(file.name)
        raise KeyboardInterrupt

    monkeypatch.setattr(_files, "_lock", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b"abc")
    assert os.listdir(path.parent) == []
    assert len(os.listdir("/dev/fd")) == opened


def test_a_file_is_written_where_locks_are_not_known(path, monkeypatch):
    def unknown(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", unknown)
    write_whole(path, b"a", b"b")
    assert path.read_bytes() == b"ab"
    assert os.listdir(path.parent) == [path.name]
