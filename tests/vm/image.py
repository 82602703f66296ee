# SPDX-License-Identifier: BSD-2-Clause
"""image - what a virtual machine boots from: Debian's kernel, and an initramfs made here.

The kernel is the distribution's own package, fetched with `apt-get download` and
unpacked (never installed) into a folder that is kept between runs.  A program or a package
that cannot be had is a Skip with the reason: these tests need a package mirror once, not
root.  A kernel that is there and has not what a test needs is a failure: else a new kernel,
whose parts have other names, would skip every test and look like a pass.

Image(kernel, modules=[...], programs={...}, files={...}, setup="...") is the initramfs:

  modules    names; those they depend on are added, and all are loaded in order
  programs   {guest path: host program}, with the shared libraries that ldd names
  files      {guest path: bytes or host path}, for example a module that was just built,
             then named in `modules` by its path: "/kmod/paste.ko"
  setup      shell lines that init runs after the modules, before the agent
  without    modules of BASE_MODULES that are not wanted: virtio_net, where another driver
             is to have the network card

python() is what `programs` and `files` need for the host's python3 to run in the guest.

init is init.sh with those filled in; its last act is the agent that vm.Machine talks to.
"""
import fcntl
import glob
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
import sysconfig

from harness import Failed, Skip

ARCH_PACKAGE = "linux-image-amd64"
# Nobody will test these in a machine without a screen, a radio or a sound card.
LEFT_OUT = ("*/drivers/gpu/*", "*/drivers/media/*", "*/drivers/net/wireless/*", "*/drivers/infiniband/*",
            "*/drivers/staging/*", "*/drivers/iio/*", "*/drivers/usb/*", "*/drivers/hwmon/*", "*/kernel/sound/*",
            "./usr/share/*")
# Always: the console's port, the disk, the network card; crc32c is what libcrc32c asks
# for by its name in the crypto layer, which no "depends" tells.  Of several names (a|b) the
# first that the kernel has: since 6.16 who wants crc32c calls the kernel's own library.
BASE_MODULES = ["crc32c_generic|crc32c_cryptoapi|crc32", "virtio_pci", "virtio_console", "virtio_net", "virtio_blk"]


def program(name, package):
    """Where a program of the host is."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise Skip(f"{name} is not installed (package {package})")
    return path


def run(cmd, what, **k):
    try:
        out = subprocess.run(cmd, capture_output=True, text=True, errors="replace", **k)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Skip(f"{what}: {e}")
    if out.returncode:
        said = (out.stderr or out.stdout).strip().splitlines() or [f"exit status {out.returncode}"]
        raise Skip(f"{what}: {said[-1]}")
    return out.stdout


# ---- the kernel ----------------------------------------------------------------

class Kernel:
    """A folder with lib/modules/* or usr/lib/modules/*, and boot/vmlinuz-* or vmlinuz in there."""

    def __init__(self, root):
        self.root = root
        self.vmlinuz, self.config, self.release, self.modules = self.find()
        self.paths = {}
        for where, _, names in os.walk(self.modules):
            for n in names:
                if n.endswith((".ko", ".ko.xz")):
                    self.paths[module_name(n)] = os.path.join(where, n)
        try:
            with open(os.path.join(self.modules, "modules.builtin")) as f:
                self.builtin = {module_name(line.strip()) for line in f}
        except OSError:
            self.builtin = set()

    def find(self):
        """The newest: the image, its configuration, its release, where its modules are."""
        for where in sorted(glob.glob(os.path.join(self.root, "lib/modules/*")) +
                            glob.glob(os.path.join(self.root, "usr/lib/modules/*")), key=os.path.basename)[::-1]:
            release = os.path.basename(where)
            for image, config in ((f"{self.root}/boot/vmlinuz-{release}", f"{self.root}/boot/config-{release}"),
                                  (f"{where}/vmlinuz", f"{where}/config")):
                if os.path.exists(image):
                    return image, config, release, where
        raise Failed(f"no kernel in {self.root}")

    def has(self, name):
        return name in self.paths or name in self.builtin

    def unpacked(self):
        """The kernel for a machine without KVM: emulated, it would unpack itself for
        seconds at each boot.  vmlinuz where that cannot be done here."""
        out = os.path.join(cache_dir(), f"vmlinux-{self.release}")
        if os.path.exists(out):
            return out
        with open(self.vmlinuz, "rb") as f:
            image = f.read()
        try:
            with open(self.config) as f:
                if "CONFIG_PVH=y" not in f.read():      # QEMU's way in
                    return self.vmlinuz
            start, length = struct.unpack_from("<II", image, 0x248)     # the boot protocol's payload
            start += ((image[0x1f1] or 4) + 1) * 512
            elf = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(image[start:start + length])
        except (OSError, lzma.LZMAError, struct.error):
            return self.vmlinuz
        write_whole(out, elf)
        return out

    def closure(self, names, own=()):
        """Those modules and all they depend on, in the order of loading, as paths.  own:
        {name: path} of modules that are not the kernel's."""
        own, order = dict(own), []

        def add(names, wanted_by):
            name = next((n for n in names.split("|") if n in own or self.has(n)), names)
            path = own.get(name) or self.paths.get(name)
            if path in order or (not path and name in self.builtin):
                return
            if not path:
                raise Failed(f"kernel {self.release} has no module {name} (wanted by {wanted_by})")
            for d in depends(path):
                add(d, name)
            order.append(path)
        for n in names:
            add(module_name(n), "the test")
        return order


def write_whole(path, data):
    """Whole or not at all, also with two tests at a time."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = f"{path}.part.{os.getpid()}"
    with open(part, "wb") as f:
        f.write(data)
    os.rename(part, path)


def unsigned(data):
    """A module without its signature, which takes a second of emulation to check."""
    mark = b"~Module signature appended~\n"
    if not data.endswith(mark):
        return data
    end = len(data) - len(mark)
    length, = struct.unpack_from(">I", data, end - 4)
    return data[:end - 12 - length]


def module_name(path):
    return os.path.basename(path).split(".ko")[0].replace("-", "_")


def module_bytes(path):
    with (lzma.open if path.endswith(".xz") else open)(path, "rb") as f:
        return f.read()


def depends(path):
    """modinfo's "depends", from the file: no depmod has been run on this tree."""
    found = re.search(rb"\0depends=([^\0]*)\0", b"\0" + module_bytes(path))
    return [module_name(d) for d in found.group(1).decode().split(",") if d] if found else []


def cache_dir():
    top = os.environ.get("top_builddir") or os.getcwd()
    return os.environ.get("PASTED_VM_CACHE") or os.path.join(top, "tests", "vm", "cache")


def stock_kernel():
    """Debian's kernel, from PASTED_VM_KERNEL, the cache, or the mirror: the one that the module
    was built for, the newest where there is no module or that kernel cannot be had."""
    root = os.environ.get("PASTED_VM_KERNEL")
    if root:
        return Kernel(root)
    path = built_module()
    release = module_release(path) if os.path.exists(path) else None
    if release:
        try:
            return cached_kernel(lambda: f"linux-image-{release}", release)
        except Skip:
            pass        # who needs the module says that this kernel is another one
    return cached_kernel(newest_package, "kernel")


def cached_kernel(package, folder):
    cache = cache_dir()
    root = os.path.join(cache, folder)
    if not os.path.isdir(root):
        if os.uname().machine != "x86_64":
            raise Skip("the machine in the tests is an x86_64")
        os.makedirs(cache, exist_ok=True)
        with open(os.path.join(cache, "lock"), "w") as lock:    # tests that run beside this one want it, too
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.isdir(root):
                fetch(package, cache, root)
    return Kernel(root)


def built_module():
    return os.path.join(os.environ.get("top_builddir", "."), "kmod", "obj", "paste.ko")


def module_release(path):
    """The kernel that a module is for."""
    with open(path, "rb") as f:
        magic = re.search(rb"\0vermagic=([^ \0]*)", f.read())
    return magic.group(1).decode() if magic else "?"


def fetch(package_name, cache, root):
    apt = program("apt-get", "apt")
    get = [apt, "-q", "-o", "APT::Sandbox::User=root", "download"]
    try:
        packages = with_parts(package_name())
        run(get + packages, "apt-get download", cwd=cache, timeout=600)
    except Skip:
        if os.geteuid():
            raise
        run([apt, "-q", "update"], "apt-get update", timeout=600)   # lists that are empty or old
        packages = with_parts(package_name())
        run(get + packages, "apt-get download", cwd=cache, timeout=600)
    part = f"{root}.part.{os.getpid()}"
    os.makedirs(part)
    for package in packages:
        deb = sorted(glob.glob(os.path.join(cache, package + "_*.deb")))[-1]
        # dpkg -x, without what is left out
        run(["sh", "-ec", 'deb=$1 to=$2; shift 2; dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$to" "$@"',
             "unpack", deb, part] + [f"--exclude={p}" for p in LEFT_OUT], "unpacking the kernel", timeout=600)
        os.unlink(deb)
    os.rename(part, root)


def newest_package():
    """The package with the kernel in it, that linux-image-amd64 depends on."""
    found = depends_on(ARCH_PACKAGE, r"linux-image-\d[^ ,]*")
    if not found:
        raise Skip(f"{ARCH_PACKAGE} names no kernel")
    return found[0]


def with_parts(image):
    """A newer one has the kernel, its modules and its configuration in others."""
    return [image] + depends_on(image, r"linux-(?:base|binary|modules)-\d[^ ,]*")


def depends_on(package, what):
    out = run(["apt-cache", "show", "--no-all-versions", package], "apt-cache show")
    return re.findall(rf"\b{what}", "".join(re.findall(r"^(?:Pre-)?Depends:.*\n", out, re.M)))


# ---- the initramfs ----------------------------------------------------------------

def libraries(path):
    """The shared libraries and the loader of a program; none if it is static."""
    out = subprocess.run(["ldd", path], capture_output=True, text=True)
    if "not found" in out.stdout:
        raise Skip(f"{path} lacks a library: {out.stdout}")
    return re.findall(r"(?:=>\s+|^\s+)(/\S+) \(0x", out.stdout, re.M)


# What a test never imports, and extensions whose libraries are large.
LIBRARY_LEFT_OUT = {"test", "idlelib", "tkinter", "turtledemo", "lib2to3", "pydoc_data", "ensurepip", "distutils",
                    "site-packages", "dist-packages", "unittest", "xml", "venv", "sqlite3", "curses", "dbm"}
LIBRARY_EXTENSIONS = {"libc", "libm", "libffi", "libz", "libexpat", "ld-linux-x86-64"}


def python():
    """The host's python3 and its standard library, at the same places: (programs, files)."""
    exe = os.path.realpath(sys.executable)
    programs, files = {exe: exe, "/bin/python3": exe}, {}
    for where, dirs, names in os.walk(sysconfig.get_path("stdlib")):
        dirs[:] = [d for d in dirs if d not in LIBRARY_LEFT_OUT and not d.startswith("config-")]
        for n in names:
            path = os.path.join(where, n)
            if n.endswith(".so"):
                wanted = {os.path.basename(lib).split(".so")[0] for lib in libraries(path)}
                if wanted <= LIBRARY_EXTENSIONS:
                    programs[path] = path
            elif n.endswith((".py", ".pyc")) and os.path.isfile(path):
                files[path] = path
    return programs, files


class Image:
    def __init__(self, kernel, modules=(), programs=(), files=(), setup="", without=()):
        self.kernel = kernel
        self.tree, self.made = {}, set()
        busybox = program("busybox", "busybox-static")
        for guest, host in {"/bin/busybox": busybox, **dict(programs)}.items():
            self.add(guest, host)
            for lib in libraries(host):
                self.add(lib, lib)
        own = {}
        for guest, content in dict(files).items():
            self.add(guest, content)
            if guest.endswith(".ko"):
                own[module_name(guest)] = content
        order = kernel.closure([m for m in BASE_MODULES if m not in without] + list(modules), own)
        for i, path in enumerate(order):
            self.add(f"/modules/{i:03}-{module_name(path)}.ko", unsigned(module_bytes(path)))
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "init.sh")) as f:
            self.add("/init", f.read().encode())
        self.add("/setup", setup.encode())

    def add(self, guest, content):
        """content: bytes, or the path of a host file."""
        if not isinstance(content, bytes):
            with open(content, "rb") as f:
                content = f.read()
        self.tree[guest] = content

    def write(self, path):
        """An uncompressed archive in the format newc (cpio), as the kernel wants it."""
        with open(path, "wb") as f:
            dirs = {"/dev", "/proc", "/sys", "/tmp", "/mnt"}
            for guest in self.tree:
                while (guest := os.path.dirname(guest)) != "/":
                    dirs.add(guest)
            n = 1
            for d in sorted(dirs):
                newc(f, n, d, 0o040755)
                n += 1
            newc(f, n, "/dev/console", 0o020600, device=(5, 1))
            for guest, data in sorted(self.tree.items()):
                n += 1
                newc(f, n, guest, 0o100755, data)
            newc(f, 0, "/TRAILER!!!", 0)
        return path


def newc(f, inode, name, mode, data=b"", device=(0, 0)):
    name = name[1:].encode() + b"\0"
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % v for v in fields) + name
    f.write(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))
