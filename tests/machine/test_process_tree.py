"""Which processes belong to a server, and how much memory they hold together."""

import os
import subprocess
import sys
from pathlib import Path

from qualification.machine.process_tree import Tree, forwarder, is_this_machine


def test_loopback_and_own_addresses_are_this_machine():
    """A documentation address is not."""
    assert is_this_machine("127.0.0.1")
    assert is_this_machine("localhost")
    assert not is_this_machine("192.0.2.1")


def test_a_program_that_forwards_a_port_is_distinguished_from_a_server(tmp_path):
    """A process that is called ssh: its memory is not the server's."""
    program = tmp_path / "ssh"
    program.symlink_to(Path(sys.executable).resolve())
    home = {**os.environ, "PYTHONHOME": sys.base_prefix}
    process = subprocess.Popen(
        [str(program), "-S", "-c", "import time; print(1, flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE,
        env=home,
    )
    try:
        assert process.stdout.readline()
        assert forwarder([process.pid]) == "ssh"
        assert forwarder([os.getpid()]) == ""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_tree_counts_children_and_forgets_what_has_ended():
    """A child's memory is in the sum; after the end of the root there is nothing to observe."""
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', "
        "'memory = bytearray(b\"x\") * 80_000_000; print(1, flush=True); input()'], "
        "stdin=subprocess.PIPE)\n"
        "input(); child.communicate()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline()
        tree = Tree(lambda: [process.pid])
        private, resident, identity = tree.held()
        assert private > 80_000_000
        assert resident >= private
        assert identity.startswith(f"{process.pid}@")
        process.communicate("\n\n", timeout=20)
        assert tree.held() == (None, None, "")
    finally:
        process.kill()
        process.wait()
