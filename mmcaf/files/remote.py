"""Folders by path or by address: `s3://bucket/prefix` is worked with through a local copy.

`place` turns what a user wrote into a local folder. That of an address is a copy in this program's
cache, which says of what in its file `.address`; folders in it are copies of what the address holds
under their names.
Everything else takes local folders, and asks `origin` where it has to fetch or to store.

An address takes options from its query (`?endpoint_override=host:port&scheme=http&region=…`), and
credentials from nowhere but the environment, an instance's role or AWS's own files. Objects appear
whole or not at all and are written under their final keys; nothing is renamed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from pyarrow import fs as arrow

from mmcaf.errors import DataError
from mmcaf.files.atomic import StorageError, replacing
from mmcaf.files.home import home_path
from mmcaf.files.untrusted import open_regular, read_bytes

__all__ = ["Remote", "address_of", "cache_folder", "origin", "place"]

Mark = tuple[int, int]  # size in bytes, time of the last change in ns

_ADDRESS = ".address"
_SCHEMES = ("s3", "file")  # the second one for tests, and for storage mounted as a folder
_PARALLEL = 16
_MOST_ADDRESS = 10_000
_CHUNK = 1 << 24


@dataclass(frozen=True, slots=True)
class Remote:
    """A folder of objects; names are relative to it, with slashes."""

    address: str
    files: arrow.FileSystem
    base: str

    @classmethod
    def at(cls, address: str) -> Remote:
        """The folder at `address`.

        Raises:
            DataError: no address that can be opened, or one that holds credentials.
        """
        parts = urlsplit(address)
        if parts.scheme not in _SCHEMES:
            raise DataError(f"An address begins with s3://, got {address}. A folder needs none.")
        if parts.username or parts.password:
            raise DataError(
                "An address holds no credentials: they are kept in study.json and logs. Set "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a role."
            )
        mark = "&" if parts.query else "?"
        # A small object is then one request, not the three of an upload in parts.
        opened = f"{address}{mark}allow_delayed_open=true" if parts.scheme == "s3" else address
        try:
            files, base = arrow.FileSystem.from_uri(opened)
        except (OSError, ValueError) as error:
            raise DataError(f"Cannot open {address}: {error}") from error
        return cls(address, files, base.rstrip("/"))

    def child(self, name: str) -> Remote:
        """The folder `name` in it."""
        head, mark, query = self.address.partition("?")
        address = f"{head.rstrip('/')}/{name}{mark}{query}"
        return Remote(address, self.files, f"{self.base}/{name}")

    def listed(self, folder: str = "") -> dict[str, Mark]:
        """What lies in `folder`, but not in folders of it; one request per 1000 objects."""
        where = f"{self.base}/{folder}".rstrip("/")
        with self._reaching():
            found = self.files.get_file_info(arrow.FileSelector(where, allow_not_found=True))
        prefix = f"{folder}/" if folder else ""
        return {
            prefix + info.base_name: (info.size, info.mtime_ns)
            for info in found
            if info.type == arrow.FileType.File
        }

    def folders(self) -> list[str]:
        """Names of the folders in it.

        Raises:
            DataError: its bucket is not there.
        """
        bucket = self.base.partition("/")[0]
        with self._reaching():
            found = self.files.get_file_info(arrow.FileSelector(self.base, allow_not_found=True))
            if not found and not isinstance(self.files, arrow.LocalFileSystem):
                (of_bucket,) = self.files.get_file_info([bucket])
                if of_bucket.type == arrow.FileType.NotFound:
                    raise FileNotFoundError(f"there is no bucket {bucket}")
        return sorted(info.base_name for info in found if info.type == arrow.FileType.Directory)

    def get(self, name: str, path: Path, mark: Mark | None = None) -> bool:
        """Copy the object to `path`, whole or not at all; False where there is none."""
        with self._reaching():
            try:
                source = self.files.open_input_stream(f"{self.base}/{name}")
            except FileNotFoundError:
                return False
            with source, replacing(path) as beside, beside.open("wb") as target:
                shutil.copyfileobj(source, target, _CHUNK)
        if mark is not None:
            os.utime(path, ns=(mark[1], mark[1]))
        return True

    def get_all(self, wanted: Sequence[tuple[str, Path, Mark | None]]) -> list[bool]:
        """`get`, several at once."""
        if len(wanted) < 2:
            return [self.get(*one) for one in wanted]
        with ThreadPoolExecutor(_PARALLEL) as pool:
            return list(pool.map(lambda one: self.get(*one), wanted))

    def read(self, name: str) -> bytes | None:
        """The object's content; None where there is none."""
        with self._reaching():
            try:
                with self.files.open_input_stream(f"{self.base}/{name}") as source:
                    content: bytes = source.read()
            except FileNotFoundError:
                return None
        return content

    def put(self, name: str, path: Path) -> None:
        """Store a file as `name`; readers see the old content or the new.

        Raises:
            StorageError: it cannot be stored.
        """
        with open_regular(path) as source, self._storing(name) as target:
            shutil.copyfileobj(source, target, _CHUNK)

    def write(self, name: str, content: bytes) -> None:
        """Store `content` as `name`; readers see the old content or the new.

        Raises:
            StorageError: it cannot be stored.
        """
        with self._storing(name) as target:
            target.write(content)

    def delete(self, name: str) -> None:
        """Delete an object, if there is one."""
        try:
            self.files.delete_file(f"{self.base}/{name}")
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(error.errno, f"Cannot delete {name}: {error}") from error

    def delete_all(self) -> None:
        """Delete every object of the folder."""
        try:
            self.files.delete_dir(self.base)
        except OSError as error:
            raise StorageError(error.errno, f"Cannot delete {self.address}: {error}") from error

    @contextmanager
    def _storing(self, name: str) -> Iterator[arrow.FileSystem]:
        path = f"{self.base}/{name}"
        try:
            if isinstance(self.files, arrow.LocalFileSystem):  # object stores have no folders
                self.files.create_dir(path.rpartition("/")[0])
            with self.files.open_output_stream(path) as target:
                yield target
        except OSError as error:
            raise StorageError(
                error.errno,
                f"Cannot store {name} at {self.address}: {error}. What was there before is "
                "unchanged.",
            ) from error

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except StorageError:
            raise
        except OSError as error:
            raise DataError(
                f"Cannot read {self.address}: {error}. Are address, region and credentials right?"
            ) from error


def cache_folder() -> Path:
    """Where copies lie: `$MMCAF_CACHE`, best on a disk of this machine alone."""
    given = os.environ.get("MMCAF_CACHE")
    return home_path(given) if given else Path.home() / ".cache" / "mmstudy"


def place(text: str, kind: str = "read") -> Path:
    """The folder a user means: a path, `~` written out, or an address's local copy (made if
    missing).

    Raises:
        DataError: an address that cannot be opened.
    """
    if "://" not in text:
        return home_path(text)
    Remote.at(text)
    folder = cache_folder() / kind / _name_of(text)
    if not (folder / _ADDRESS).exists():
        with replacing(folder / _ADDRESS) as beside:
            beside.write_text(text, encoding="utf-8")
    return folder


def origin(folder: Path) -> Remote | None:
    """What `folder` is a copy of, if of anything.

    Only this program's own cache is asked. A file `.address` anywhere else, in a study that came
    from somebody else say, means nothing: no file decides where this program connects.
    """
    for copy in (folder, folder.parent):
        if (address := _address(copy)) is not None:
            whole = _opened(address)
            return whole if copy == folder else whole.child(folder.name)
    return None


def address_of(folder: Path) -> str:
    """How another machine finds `folder`: its address if it is a copy, else its absolute path."""
    remote = origin(folder)
    return remote.address if remote else str(folder.resolve())


def _address(copy: Path) -> str | None:
    """The address that `place` made this folder for; None for every other folder."""
    if copy.resolve().parent.parent != cache_folder().resolve():
        return None
    try:
        address = read_bytes(copy / _ADDRESS, most=_MOST_ADDRESS).decode()
    except (OSError, ValueError, DataError):
        return None
    return address if copy.name == _name_of(address) else None


def _name_of(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()[:16]


@lru_cache
def _opened(address: str) -> Remote:
    return Remote.at(address)
