"""Networks of their own on one machine: Linux network namespaces without names.

A network namespace has its own devices, addresses and routes.  The kernel keeps it
while a process lives in it or an open file refers to it, and then removes it with all
its devices::

    this process  --open files-->  namespace "host 0"   eth0  lo
                                   namespace "rack 0"   bridge and ports
    a rank        --lives in---->  namespace "host 0"

So nothing has a name that could outlive its owner, or that two owners could share: when
this process ends, however it ends, its files are closed, and nobody has to clean up.

To make namespaces one must be root, or be allowed to make a user namespace, in which
one is root over networks of one's own.  It costs four programs of Linux: `ip` and `tc`
(iproute2), `unshare` and `nsenter` (util-linux), and some milliseconds a namespace.

Source: Linux man pages, namespaces(7), network_namespaces(7), user_namespaces(7),
setns(2).
"""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

TOOLS = ("unshare", "nsenter", "ip", "tc")
PLACES = ":".join((os.defpath, "/usr/sbin", "/sbin", "/usr/local/sbin"))
AS_ROOT: tuple[str, ...] = ()
AS_OWN_ROOT = (
    "--user",
    "--map-root-user",
)  # of unshare: be root inside, nobody outside
LIMIT_S = 30.0  # no command here takes as much as a second
# Every kind of thing that a cluster needs, made once and gone with the last command.
TRIAL = (
    "ip link add left0 type veth peer name right0; ip link add bridge0 type bridge; "
    "tc qdisc add dev left0 root tbf rate 1mbit burst 10kb limit 100kb"
)


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """One network, held open by a process.

    owner: that process.  net, user: its open files; user: None when root made it.
    inode: the number by which the kernel tells namespaces apart.
    """

    owner: int
    net: int
    user: int | None
    inode: int

    def enter(self) -> None:
        """Move the calling process, which must have a single thread, in here for good.

        Errors: RuntimeError when the owner has closed the network.
        """
        numbers = [n for n in (self.user, self.net) if n is not None]
        with ExitStack() as files:
            try:
                opened = [
                    files.enter_context(open(f"/proc/{self.owner}/fd/{n}"))
                    for n in numbers
                ]
            except OSError:
                opened = []
            if not opened or os.fstat(opened[-1].fileno()).st_ino != self.inode:
                raise RuntimeError("the network of this rank has been closed")
            for file in opened:  # the user first: it owns the network
                setns(file.fileno())

    def run(
        self, *command: str, text: str = "", beside: Sequence["Namespace"] = ()
    ) -> str:
        """Run a command in here, `text` on its standard input; return what it prints.

        beside: other networks that the command names by `path`.
        Errors: RuntimeError with what the command says when it fails.
        """
        return run(
            self.entry(*command), text, [self.net, self.user, *(n.net for n in beside)]
        )

    def entry(self, *command: str) -> list[str]:
        """Return the command line that runs `command` in here.

        It needs `open_files` of this process: give them as pass_fds.
        """
        user = [] if self.user is None else [f"--user=/proc/self/fd/{self.user}"]
        keep = user and ["--preserve-credentials"]
        return [
            find("nsenter"), *user, *keep, f"--net={self.path}", "--",
            find(command[0]), *command[1:],
        ]  # fmt: skip

    def open_files(self) -> list[int]:
        """Return the open files of this process that `entry` needs."""
        return [n for n in (self.net, self.user) if n is not None]

    @property
    def path(self) -> str:
        """The file of this network, for a process that was given it."""
        return f"/proc/self/fd/{self.net}"


def setns(descriptor: int) -> None:
    """Move the calling thread into the namespace of an open file.

    Errors: OSError when that is not allowed.
    """
    if hasattr(os, "setns"):  # Python 3.12
        os.setns(descriptor)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, 0) != 0:
        raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")


def make(count: int, files: ExitStack) -> list[Namespace]:
    """Make networks, held open until `files` is closed, or until this process ends.

    Errors: RuntimeError when this machine does not allow it, see `why_not`.
    """
    way, _ = way_in()
    if way is None:
        raise RuntimeError(why_not())
    first = held([find("unshare"), *way, "--net"], files, user=bool(way))
    into = first.entry("unshare")[:-1] if way else []
    more = [*into, find("unshare"), "--net"]
    kept = [n for n in (first.user, first.net) if n is not None]
    return [first, *(held(more, files, kept, first.user) for _ in range(count - 1))]


def held(
    unshare: Sequence[str],
    files: ExitStack,
    pass_fds: Sequence[int] = (),
    user: bool | int | None = None,
) -> Namespace:
    """Start a command that makes a network; return it when this process has it open.

    user: True if the command makes a user namespace too, or the open file of the one
    that it makes the network in.
    """
    with subprocess.Popen(
        [*unshare, find("cat")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=pass_fds,
    ) as cat:  # lives in the network until its input is closed
        cat.stdin.write(b"\n")
        cat.stdin.flush()
        if not cat.stdout.read(1):  # it answers when it has arrived there
            raise RuntimeError(f"cannot make a network: {' '.join(unshare)} failed")
        if user is True:
            user = keep_open(f"/proc/{cat.pid}/ns/user", files)
        net = keep_open(f"/proc/{cat.pid}/ns/net", files)
        inode = os.fstat(net).st_ino
        return Namespace(owner=os.getpid(), net=net, user=user or None, inode=inode)


def keep_open(path: str, files: ExitStack) -> int:
    """Open a file until `files` is closed; no program started later inherits it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    files.callback(os.close, descriptor)
    return descriptor


def why_not() -> str | None:
    """Return why networks cannot be made here, in one line; None where they can."""
    way, reason = way_in()
    return reason if way is None else None


def way_in() -> tuple[tuple[str, ...] | None, str]:
    """Return how to make a network, None if there is no way, and then why not."""
    if sys.platform != "linux":
        return None, f"an emulated cluster needs Linux, this is {sys.platform}"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=PLACES) is None]
    if missing:
        return None, f"an emulated cluster needs {', '.join(missing)} (iproute2)"
    said: list[str] = []
    for way in (AS_ROOT, AS_OWN_ROOT):
        try:
            run([find("unshare"), *way, "--net", "sh", "-ec", TRIAL])
            return way, ""
        except RuntimeError as error:
            said.append(str(error).splitlines()[-1])
    reason = "; as an ordinary user: ".join(said)
    return None, f"an emulated cluster needs the right to make networks: {reason}"


def find(program: str) -> str:
    """Return the full path of a program, also of one for root."""
    return shutil.which(program, path=PLACES) or program


def run(command: Sequence[str], text: str = "", keep: Sequence[int | None] = ()) -> str:
    """Run a command; return what it prints.

    keep: open files that it gets.
    Errors: RuntimeError with what it says when it fails, or when it has no end.
    """
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command,
            input=text,
            text=True,
            capture_output=True,
            timeout=LIMIT_S,
            pass_fds=[n for n in keep if n is not None],
            env={**os.environ, "LC_ALL": "C", "PATH": PLACES},
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{name}: no end within {LIMIT_S:g} s") from None
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr.strip() or done.returncode}")
    return done.stdout
