"""Edits done again: one, whose tree is kept; or a range of them."""

from __future__ import annotations

import sys
from pathlib import Path

from mutations.endings import Endings, code_digest
from mutations.runs import RUNS


def main() -> None:
    """python -m mutations NAME SEED NUMBER[:END] FOLDER."""
    name, seed, numbers, folder = sys.argv[1:]
    begin, _, end = numbers.partition(":")
    run = RUNS[name](Path(folder), int(seed))
    kept = Path(f"{folder}-{name}-{seed}-{code_digest()}.jsonl") if end else None
    endings = Endings(f"{name} {seed}", kept)
    endings.run(range(int(begin), int(end or int(begin) + 1)), run)
    sys.stdout.write(f"{endings}\n")
    if not end:
        ending = endings.of[int(begin)]
        sys.stdout.write(f"{ending}\n")


if __name__ == "__main__":
    main()
