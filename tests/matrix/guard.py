"""What a process touches, by Python's audit events: everything beyond its own places is a fault."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Guard"]

_MACHINE = ("/proc", "/sys", "/dev/null", "/dev/urandom", "/etc", "/usr", "/lib", "/lib64", "/bin")
_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_ENTRIES = {  # event: which arguments are entries of folders (a link there is not followed), and
    # which say from where they are named
    **dict.fromkeys(("os.remove", "os.rmdir"), ((0, 1),)),
    "os.mkdir": ((0, 2),),
    **dict.fromkeys(("os.rename", "os.link"), ((0, 2), (1, 3))),
    "os.symlink": ((1, 2),),
}
_WRITTEN = {  # the same of what is followed where it is a link
    **dict.fromkeys(("os.chmod", "os.chown", "os.truncate", "os.utime", "os.setxattr"), (0,)),
    "shutil.copyfile": (1,),
}
_READ = {
    **dict.fromkeys(("os.listdir", "os.scandir", "os.chdir", "os.walk", "glob.glob"), (0,)),
    "shutil.copyfile": (0,),
}
_NEVER = ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "os.system")
_NEVER += ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.kill")
_NEVER += ("pickle.find_class", "marshal.loads", "ftplib.connect", "urllib.Request")


class Guard:
    """Notes what is not allowed; hooks cannot be taken out again, so it is for one child process.

    Args:
        own: folders that may be read and written.
        read: folders that may be read.
        imported: whether marshalled code is loaded by an import right now.
    """

    def __init__(self, own: Sequence[Path], read: Sequence[Path]) -> None:
        self.faults: list[str] = []
        self._own = [os.path.realpath(one) for one in own]
        python = (sys.prefix, sys.base_prefix, *sys.path)
        self._read = [os.path.realpath(one) for one in (*read, *python) if str(one)]
        self._busy = False

    def watch(self) -> None:
        """Begin."""
        sys.addaudithook(self._seen)

    def _seen(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            self._judge(event, arguments)
        finally:
            self._busy = False

    def _judge(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if flags & _CHANGES:
                self._check(event, path, self._may_write, follow=not flags & os.O_NOFOLLOW)
            else:
                self._check(event, path, self._may_read, follow=not flags & os.O_NOFOLLOW)
        for index, start in _ENTRIES.get(event, ()):
            path = _from(arguments[start], arguments[index])
            self._check(event, path, self._may_write, follow=False)
        for index in _WRITTEN.get(event, ()):
            self._check(event, arguments[index], self._may_write, follow=True)
        for index in _READ.get(event, ()):
            self._check(event, arguments[index], self._may_read, follow=True)
        if event in _NEVER and not (event == "marshal.loads" and _importing()):
            self.faults.append(f"{event} {str(arguments)[:200]}")

    def _check(self, event: str, path: Any, may: Callable[[str], bool], *, follow: bool) -> None:
        if path is None or isinstance(path, int):  # what is open already was judged
            return
        text = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - of the path as it was given
        real = os.path.realpath(text)
        if not follow:
            head, name = os.path.split(text)
            real = os.path.join(os.path.realpath(head), name)  # noqa: PTH118
        if not may(real):
            self.faults.append(f"{event} {text}" + (f" -> {real}" if real != text else ""))

    def _may_write(self, path: str) -> bool:
        return path == os.devnull or any(_below(path, one) for one in self._own)

    def _may_read(self, path: str) -> bool:
        return self._may_write(path) or any(_below(path, one) for one in (*self._read, *_MACHINE))


def _from(folder: int, path: Any) -> str:
    """A path that is named from an open folder; -1 is the working folder."""
    text = os.fsdecode(path)
    return text if folder < 0 else os.path.join(os.readlink(f"/proc/self/fd/{folder}"), text)  # noqa: PTH115, PTH118


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _importing() -> bool:
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap_external>":
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
