"""Tests of a kernel in a virtual machine, by coldplug and pytest.

    COLDPLUG_KERNEL=vmlinuz COLDPLUG_INITRD=initrd.img COLDPLUG_ROOT=root.img pytest test_guest.py

COLDPLUG_ROOT is a disk with a filesystem that has /bin/sh; it stays as it is. Without these
variables the tests are skipped. ACCEL names another accelerator than kvm:tcg.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

VARIABLES = ["COLDPLUG_KERNEL", "COLDPLUG_INITRD", "COLDPLUG_ROOT"]
# A last net: each boot ends by itself.
TIMEOUT = 300


@dataclass
class Boot:
    """What a machine has reported."""

    status: int
    console: str
    report: list

    @property
    def milestones(self):
        return [line["milestone"] for line in self.report if "milestone" in line]

    @property
    def record(self):
        """The boot record, the last line of the report; None after a panic of the kernel."""
        last = self.report[-1] if self.report else {}
        return last if "verdict" in last else None

    @property
    def has_panicked(self):
        """Whether the kernel has panicked, or the machine was reset. Without a driver of pvpanic
        the status is 0."""
        return self.status in (0, 1) and self.record is None


@pytest.fixture
def boot(tmp_path):
    """Returns a function that boots a machine, runs a script in it, and returns what it reports."""
    missing = [name for name in VARIABLES if name not in os.environ]
    if missing:
        pytest.skip(f"{missing[0]} is not set")
    kernel, initrd, root = (os.environ[name] for name in VARIABLES)

    def run(script, words="root=/dev/vda"):
        files = {name: tmp_path / name for name in ("script", "console", "report")}
        files["script"].write_text(script)
        cmdline = (
            f"{words} console=ttyS0 quiet panic=-1 coldplug.exitport=0xf4 "
            "coldplug.exec=@script coldplug.report=/dev/virtio-ports/report"
        )
        accel = os.environ.get("ACCEL", "kvm:tcg")
        command = ["qemu-system-x86_64", "-machine", f"q35,accel={accel}", "-m", "1024"]
        command += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
        command += ["-kernel", kernel, "-initrd", initrd, "-append", cmdline]
        command += ["-drive", f"file={root},format=raw,if=virtio,snapshot=on"]
        command += ["-serial", f"file:{files['console']}"]
        command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
        command += ["-device", "pvpanic", "-action", "panic=exit-failure"]
        command += ["-fw_cfg", f"name=opt/script,file={files['script']}"]
        command += ["-device", "virtio-serial-pci"]
        command += ["-chardev", f"file,id=report,path={files['report']}"]
        command += ["-device", "virtserialport,chardev=report,name=report"]
        qemu = subprocess.run(command, timeout=TIMEOUT, check=False)
        # A panic may cut the last line.
        lines = files["report"].read_text().splitlines(keepends=True)
        report = [json.loads(line) for line in lines if line.endswith("\n")]
        return Boot(qemu.returncode, files["console"].read_text(errors="replace"), report)

    return run


def test_a_script_succeeds(boot):
    guest = boot("#!/bin/sh -e\n[ -e /proc/self ]\necho all is well\n")
    assert guest.status == 33, guest.console
    assert "all is well" in guest.console
    assert guest.milestones[-2:] == ["exec-start", "exec-end"]
    assert guest.record["verdict"] == "ok" and guest.record["exit"] == 0


def test_a_script_fails(boot):
    guest = boot("exit 3\n")
    assert guest.status == 33 + 2 * 3, guest.console
    assert guest.record["exit"] == 3


def test_a_root_that_is_missing(boot):
    guest = boot("true\n", words="root=LABEL=missing coldplug.timeout=10")
    assert guest.status == 7, guest.console
    assert guest.record["verdict"] == "no-root"
    assert "exec-start" not in guest.milestones


def test_a_kernel_that_panics(boot):
    # The last milestone needs time to leave the machine.
    guest = boot("sleep 1\necho c >/proc/sysrq-trigger\n")
    assert guest.has_panicked, guest.console
    assert guest.milestones[-1] == "exec-start"
