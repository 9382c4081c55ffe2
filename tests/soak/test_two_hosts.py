"""Ranks in two network namespaces, which to MPI are two hosts, with a link of 1 Gbit/s between them."""

import os
import shutil
import subprocess
import sys

import pytest
from ranks import HERE, MPIEXEC, needs_mpi, started_by
from teams import wait_until

pytestmark = [pytest.mark.soak, needs_mpi]

HOSTS = {f"fastbp{i}": f"10.255.71.{i}" for i in (1, 2)}  # namespaces and their addresses
LINK = "to_other"
RATE = ["tbf", "rate", "1gbit", "burst", "1mb", "latency", "50ms"]
LAUNCHER = """\
#!/bin/sh
# As ssh is called: [-x] host command. The namespace of the host's address runs it.
while [ "${1#-}" != "$1" ]; do shift; done
host=fastbp${1##*.}; shift
exec ip netns exec $host sh -c "$*"
"""


def ip(*words, netns=None, program="ip"):
    command = [program, *(["-n", netns] if netns else []), *words]
    subprocess.run(command, check=True, capture_output=True, text=True)


@pytest.fixture
def hosts():
    """Two of them, or a skipped test where the machine does not allow it."""
    if not all(shutil.which(program) for program in ("ip", "tc")):
        pytest.skip("needs ip and tc")
    first, second = HOSTS
    try:
        for name in HOSTS:
            ip("netns", "add", name)
        ip("link", "add", "name", LINK, "netns", first, "type", "veth", "peer", "name", LINK, "netns", second)
        for name, address in HOSTS.items():
            ip("addr", "add", f"{address}/24", "dev", LINK, netns=name)
            ip("link", "set", LINK, "up", netns=name)
            ip("link", "set", "lo", "up", netns=name)
            ip("qdisc", "add", "dev", LINK, "root", *RATE, netns=name, program="tc")
        assert wait_until(lambda: all(of_link(name, "operstate") == "up" for name in HOSTS))
        yield HOSTS
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr}")
    finally:
        for name in HOSTS:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def of_link(host, what):
    """What the system knows of a host's end of the link."""
    command = ["ip", "netns", "exec", host, "cat", f"/sys/class/net/{LINK}/{what}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("checks", ["mpi_checks.py", "mpi_many_checks.py"])
def test_two_hosts_do_what_one_process_does(checks, hosts, tmp_path):
    version = subprocess.run([MPIEXEC, "--version"], capture_output=True, text=True, check=True).stdout
    if "HYDRA" not in version:
        pytest.skip("starts ranks by MPICH's launcher")
    launcher = tmp_path / "launcher"
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)
    mpiexec = ["ip", "netns", "exec", next(iter(hosts)), MPIEXEC, "-launcher", "ssh", "-launcher-exec", launcher]
    mpiexec += ["-hosts", ",".join(hosts.values()), "-n", "2"]
    # To MPICH's network library it is one machine all the same, whose memory it would use.
    run = started_by(
        mpiexec,
        HERE / checks,
        tmp_path,
        environment=os.environ | {"UCX_TLS": "tcp,self", "UCX_NET_DEVICES": LINK},
    )
    assert (run.returncode, run.stdout.count("passed")) == (0, 2), run.stdout + run.stderr
    assert all(int(of_link(host, "statistics/tx_bytes")) > 1e5 for host in hosts), sys.version
