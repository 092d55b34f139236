"""Every call of the shipped code that opens a file or deletes a tree, and the function it is in."""

from __future__ import annotations

import ast
from collections.abc import Iterator

__all__ = ["Opening", "openings"]

_OPENERS = {  # the last part of what is called
    *("open", "fdopen", "read_text", "read_bytes", "memmap", "fromfile", "loadtxt"),
    *("read_parquet", "scan_parquet", "read_csv", "read_excel", "read_metadata", "read_schema"),
    *("ParquetFile", "safe_open", "load_file", "load_workbook", "dcmread"),
    *("copyfile", "copy2", "copytree", "rmtree", "touch", "write_text", "write_bytes"),
}
_QUALIFIED = {"np.load", "torch.load", "pickle.load", "shutil.copy", "json.load", "pl.read_json"}
Opening = tuple[str, str, str]  # module, function, what it calls


def openings(name: str, source: str) -> Iterator[Opening]:
    """The openings in a module's source; a bare `read_bytes(...)` is that of `untrusted`."""
    yield from _below(ast.parse(source), name, "")


def _below(node: ast.AST, name: str, function: str) -> Iterator[Opening]:
    for child in ast.iter_child_nodes(node):
        inner = function
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inner = f"{function}.{child.name}".removeprefix(".")
        if isinstance(child, ast.Call) and (called := _called(child)):
            yield name, function, called
        yield from _below(child, name, inner)


def _called(call: ast.Call) -> str | None:
    if isinstance(call.func, ast.Name):
        bare = call.func.id
        return bare if bare in _OPENERS - {"read_bytes"} else None
    if not isinstance(call.func, ast.Attribute):
        return None
    whole = ast.unparse(call.func)
    if whole.startswith(("beside.", "untrusted.")):  # the hidden file of `replacing`
        return None
    return whole if call.func.attr in _OPENERS or whole in _QUALIFIED else None
