"""From a file that a user named, or that lay in the tree, to its tables."""

from __future__ import annotations

import os
from pathlib import Path

from mmcaf.data.ingest.sheet.delimited import from_text
from mmcaf.data.ingest.sheet.table import Table
from mmcaf.data.ingest.sheet.workbook import from_workbook
from mmcaf.errors import DataError
from mmcaf.files.untrusted import read_bytes

__all__ = ["read_tables"]

_MOST_BYTES = 16 * 2**20
_ZIP, _OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_WORKBOOKS = (".xlsx", ".xlsm")


def read_tables(path: Path) -> list[Table]:
    """The worksheets of a workbook, or a text file cut at each delimiter it may have.

    Raises:
        DataError: no such file, or it is no XLSX or CSV of a clinical sheet's size.
    """
    try:
        # A link is the user's own; what is found in a tree leads nowhere outside it.
        content = read_bytes(Path(os.path.realpath(path)), most=_MOST_BYTES)
    except FileNotFoundError as error:
        raise DataError(
            f"No clinical sheet {path}; give the collection's .xlsx file, or a CSV of it."
        ) from error
    if content.startswith(_OLD_EXCEL):
        raise DataError(
            f"Cannot read the clinical sheet {path.name}: it is a workbook of old Excel, or locked "
            "by a password. Save it as XLSX or CSV."
        )
    if path.suffix.lower() in _WORKBOOKS or content.startswith(_ZIP):
        return from_workbook(content, path.name)
    return from_text(content, path.name)
