# SPDX-License-Identifier: BSD-2-Clause
"""vm - a virtual machine for a test: boot it, run commands in it, cut its power.

	image = Image(stock_kernel(), modules=["ext4"], programs={"/bin/tool": path})
	m = Machine(t, image, args=disk(path) + nvdimm(path2, "64M"), forward=[8080])
	m.start()                   # bounded; the word comes from the guest's own init
	m.run("tool --check")       # a shell script; Failed unless it exits 0
	m.port[8080]                # on 127.0.0.1: the guest's port 8080
	m.cut()                     # SIGKILL to QEMU: the power cut
	m.start(); ...; m.off()     # boot again on the same files; a clean end

A pass can never come from a machine that hangs or dies: each wait is bounded, each
answer is framed by the agent (init.sh), and every end of a machine, cut or clean,
searches all that the kernel said for BUG, WARNING, Oops, lockdep and the like
(KERNEL_TROUBLE) and fails the test.  Machine(quiet=regex) lets expected lines pass.

The console is the serial port, with warnings and worse live (also what is said in the
last instant before a cut) and everything at a clean end.  Two virtual CPUs: with one,
virtio's transmit hangs under emulation.  KVM where /dev/kvm works, else TCG.

Environment
  PASTED_VM_ACCEL=kvm|tcg   instead of finding out
  PASTED_VM_KERNEL=dir      a folder with boot/vmlinuz-* and lib/modules/* (else the
                            distribution's package, see image.py)
  PASTED_VM_CACHE=dir       where that is kept (else tests/vm/cache in the build folder)
  PASTED_TEST_*             see tests/e2e/harness.py
"""
import base64
import os
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from harness import Failed, SLOW, Skip, check, die_with_parent, free_port, wait_until  # noqa: E402
from image import cache_dir, program, write_whole  # noqa: E402

KERNEL_TROUBLE = re.compile(
    r"\b(BUG|WARNING|Oops|UBSAN|KASAN|KFENCE|KCSAN|lockdep|Call Trace|Kernel panic|general protection fault|"
    r"[Uu]nable to handle|soft lockup|blocked for more than|detected stalls|scheduling while atomic|"
    r"possible (circular|recursive|irq)|double fault|Bad page|refcount_t:|list_(add|del) corruption|"
    r"unreferenced object)")
# The second half is for the speed of the boot.
COMMAND_LINE = ("console=ttyS0,115200 loglevel=5 panic=-1 oops=panic random.trust_cpu=on net.ifnames=0 "
                "tsc=reliable no_timer_check mitigations=off cryptomgr.notests audit=0 "
                "rcupdate.rcu_expedited=1")
# Emulation on a busy host looks to the guest's watchdogs as if a CPU hung.
PATIENCE = "rcupdate.rcu_cpu_stall_timeout=300 sysctl.kernel.watchdog_thresh=60"
KVM_CPU = "host,-arch-capabilities"
# What emulation makes slow although it says that it is there: "rep movsb", byte by byte; the
# instruction crc32 (SSE 4.2), bit by bit.
TCG_CPU = "max,-erms,-fsrm,-sse4.2"


# A boot sector: out 0x501, 0x10 (the device isa-debug-exit: QEMU exits with 33), hlt.
PROBE = b"\xba\x01\x05\xb0\x10\xee\xf4\xeb\xfd".ljust(510, b"\0") + b"\x55\xaa"


def accelerator(qemu, folder):
    """"kvm" if a machine really runs under it, else "tcg".  There are hosts with a /dev/kvm
    whose guests take for ever in the firmware, or never leave it."""
    if os.environ.get("PASTED_VM_ACCEL"):
        return os.environ["PASTED_VM_ACCEL"]
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    try:
        with open(os.path.join(cache_dir(), "accelerator")) as f:
            when, found = f.read().split()
            if when == host_boot():
                return found
    except (OSError, ValueError):
        pass
    sector = os.path.join(folder, "probe")
    with open(sector, "wb") as f:
        f.write(PROBE.ljust(1 << 20, b"\0"))
    try:
        rc = subprocess.run([qemu, "-no-user-config", "-nodefaults", "-display", "none", "-machine", "q35",
                             "-accel", "kvm", "-cpu", KVM_CPU, "-smp", "2", "-m", "64M", "-device", "isa-debug-exit",
                             "-drive", f"file={sector},format=raw,if=none,id=d", "-device", "ide-hd,drive=d"],
                            capture_output=True, timeout=4 * SLOW, preexec_fn=die_with_parent).returncode
    except subprocess.TimeoutExpired:
        rc = None
    return remember("kvm" if rc == 33 else "tcg")


def host_boot():
    with open("/proc/sys/kernel/random/boot_id") as f:
        return f.read().strip()


def remember(found):
    write_whole(os.path.join(cache_dir(), "accelerator"), f"{host_boot()} {found}\n".encode())
    return found


# ---- devices: pieces of QEMU's command line ----------------------------------------

def size_of(path):
    return str(os.stat(path).st_size)


def nvdimm(path, persistence="mem-ctrl"):
    """Non-volatile memory.  persistence: what the firmware says survives a power cut,
    "mem-ctrl" (what has reached the memory controller) or "cpu" (the caches too).  The
    file keeps every store, as the CPU's cache does here: a missing flush is not seen."""
    return ["-machine", f"nvdimm=on,nvdimm-persistence={persistence}",
            "-object", f"memory-backend-file,id=nv,share=on,mem-path={path},size={size_of(path)},align=2M",
            "-device", "nvdimm,memdev=nv,id=nv0"]


def virtio_pmem(path):
    """Memory that the host has to be asked to keep (a flush command, no MAP_SYNC)."""
    return ["-object", f"memory-backend-file,id=vp,share=on,mem-path={path},size={size_of(path)}",
            "-device", "virtio-pmem-pci,memdev=vp,id=vp0"]


def disk(where, serial="disk", cache="writeback"):
    """A virtio disk on a file or on an nbd+unix:///?socket=... URL (see disk.py).  With
    cache=writeback a write that the guest did not sync survives a SIGKILL of QEMU in the
    host's page cache: what is lost is only the guest's own cache.  disk.py loses more."""
    return ["-drive", f"file={where},format=raw,if=none,id={serial},cache={cache},werror=report,rerror=report",
            "-device", f"virtio-blk-pci,drive={serial},serial={serial}"]


# ---- the machine -------------------------------------------------------------------

class Result:
    def __init__(self, rc, out, err):
        self.rc, self.out, self.err = rc, out, err

    @property
    def text(self):
        return self.out.decode(errors="replace")

    def __repr__(self):
        return f"<exit {self.rc} {self.out[-1500:]!r} {self.err[-1500:]!r}>"


class Machine:
    tcg_cpu = TCG_CPU
    accel = None            # found out once; "tcg" after a boot under KVM that failed
    count = 0

    def __init__(self, t, image, args=(), forward=(), memory="768M", cpus=2, append="", quiet=None,
                 net=None):
        Machine.count += 1
        self.qemu = program("qemu-system-x86_64", "qemu-system-x86")
        self.dir = os.path.join(t.dir, f"vm{Machine.count}")
        os.makedirs(self.dir)
        self.image, self.args = image, list(args)
        self.initrd = image.write(os.path.join(self.dir, "initrd"))
        self.memory, self.cpus, self.append, self.quiet = memory, cpus, append, quiet
        self.port, self.net = {g: 0 for g in forward}, net     # net: instead of QEMU's user network
        self.boots, self.proc, self.agent, self.buf, self.calls = 0, None, None, b"", 0
        t.undo.append(self.kill)

    # -- start and end

    def start(self, seconds=40):
        """Boots; returns the seconds it took."""
        began = time.monotonic()
        Machine.accel = Machine.accel or accelerator(self.qemu, self.dir)
        try:
            self.boot(seconds)
        except Failed as e:
            # Before init there is only what the distribution and QEMU made.  A /dev/kvm
            # whose machines do not run is no reason to fail, and emulation has, rarely,
            # a machine that resets while the CPUs come up: once more, and it is said.
            if "init: started" in self.console() or KERNEL_TROUBLE.search(self.console()):
                raise
            print(f"#    not booted under {Machine.accel}, once more without KVM: {str(e)[:300]}", flush=True)
            Machine.accel = remember("tcg")
            self.boot(seconds)
        return time.monotonic() - began     # clock: printed

    def boot(self, seconds):
        self.kill()
        self.boots += 1
        for guest in self.port:
            self.port[guest] = free_port()
        with open(self.file("qemu"), "ab") as err:
            self.proc = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                                         preexec_fn=die_with_parent)
        self.agent, self.buf = socket.socket(socket.AF_UNIX), b""
        wait_until(self.agent_connects, 20, "QEMU does not open the agent's socket: ")
        limit = seconds * (1 if Machine.accel == "kvm" else 5)
        check(self.line(limit) == b"ready", "the guest's init says something else than ready;", self.last_words())

    def command(self):
        kernel, kvm = self.image.kernel, Machine.accel == "kvm"
        kernel = kernel.vmlinuz if kvm else kernel.unpacked()
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{h}-10.0.2.15:{g}" for g, h in self.port.items())
        return [self.qemu, "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot",
                "-machine", "q35", "-accel", Machine.accel,
                "-cpu", KVM_CPU if kvm else self.tcg_cpu,
                "-m", f"{self.memory},slots=4,maxmem=8G", "-smp", str(self.cpus),
                "-kernel", kernel, "-initrd", self.initrd,
                "-append", f"{COMMAND_LINE} {'' if kvm else PATIENCE} {self.append}",
                "-chardev", f"file,id=console,path={self.file('console')}", "-serial", "chardev:console",
                "-chardev", f"socket,id=agent,path={self.file('agent')},server=on,wait=off",
                "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=agent",
                *(self.net or ["-netdev", f"user,id=net,restrict=on,ipv6=off{forwards}",
                               "-device", "virtio-net-pci,netdev=net,romfile="])] + self.args

    def file(self, kind):
        return os.path.join(self.dir, f"{kind}.{self.boots}")

    def agent_connects(self):
        if self.proc.poll() is not None:
            with open(self.file("qemu"), errors="replace") as f:
                raise Skip(f"QEMU exits with {self.proc.returncode}: {f.read().strip()[-1000:]}")
        try:
            self.agent.connect(self.file("agent"))
            return True
        except OSError:
            return False

    def kill(self):
        if self.agent:
            self.agent.close()
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
        if self.proc:
            self.proc.wait()
        self.proc = self.agent = None

    def cut(self):
        """The power cut.  The kernel must have been well until then."""
        died = self.proc.poll()
        self.kill()
        check(died is None, "the machine had ended by itself;", self.last_words())
        self.judge_kernel(self.console())

    def off(self, seconds=30):
        """A clean end; everything the kernel said is looked at."""
        said = self.run("dmesg; sync").text
        self.judge_kernel(said)
        self.agent.sendall(f"0 {base64.b64encode(b'umount -a; sync; poweroff -f').decode()}\n".encode())
        try:
            self.proc.wait(seconds * SLOW * (1 if Machine.accel == "kvm" else 4))
        except subprocess.TimeoutExpired:
            raise Failed("the machine does not power off; " + self.last_words())
        finally:
            self.kill()
        self.judge_kernel(self.console())

    # -- what the kernel said

    def console(self):
        try:
            with open(self.file("console"), errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def last_words(self):
        status = f"QEMU's status {self.proc.poll()}, " if self.proc else ""
        try:
            with open(self.file("qemu"), errors="replace") as f:
                status += f.read()[-500:]
        except OSError:
            pass
        return f"{status}the console's end: {self.console()[-3000:]}"

    def judge_kernel(self, log):
        lines = log.splitlines()
        for i, line in enumerate(lines):
            if KERNEL_TROUBLE.search(line) and not (self.quiet and re.search(self.quiet, line)):
                raise Failed("the guest's kernel complains:", "\n".join(lines[max(0, i - 3):i + 25]))

    # -- the agent

    def more(self, deadline):
        left = deadline - time.monotonic()
        try:
            self.agent.settimeout(max(left, 0.01))
            got = self.agent.recv(1 << 20)
        except TimeoutError:
            raise Failed("the guest does not answer; " + self.last_words())
        except OSError:
            got = b""
        if not got:
            raise Failed("the machine ended; " + self.last_words())
        self.buf += got

    def line(self, seconds):
        deadline = time.monotonic() + seconds * SLOW
        while b"\n" not in self.buf:
            self.more(deadline)
        out, _, self.buf = self.buf.partition(b"\n")
        return out.strip()

    def run(self, script, seconds=60, exits=(0,)):
        """Runs a shell script in the guest, one at a time; exits: None for any status."""
        self.calls += 1
        seconds *= 1 if Machine.accel == "kvm" else 4
        try:
            self.agent.sendall(f"{self.calls} {base64.b64encode(script.encode()).decode()}\n".encode())
        except OSError as e:
            raise Failed(f"the machine ended ({e}); " + self.last_words())
        words = self.line(seconds).split()
        check(len(words) == 5 and words[:2] == [b"done", b"%d" % self.calls], "not an answer of the agent:", words)
        rc, out, err = map(int, words[2:])
        deadline = time.monotonic() + seconds * SLOW
        pieces, have = [self.buf], len(self.buf)
        while have < out + err:
            self.buf = b""
            self.more(deadline)
            pieces.append(self.buf)
            have += len(self.buf)
        got = b"".join(pieces)
        self.buf = got[out + err:]
        r = Result(rc, got[:out], got[out:out + err])
        check(exits is None or rc in exits, f"in the guest: {script.strip()}\n  gives", r, self.last_words())
        return r
