"""Write `notebook.ipynb`: run its cells on the demo's study, and keep what they show.

python docs/notebook.py FOLDER    # which holds demo/studies/demo, as `make demo` leaves it
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode, v4
from traitlets.config import Config

__all__ = ["CELLS", "NOTEBOOK", "executed", "notebook"]

NOTEBOOK = Path(__file__).with_suffix(".ipynb")
_TIMEOUT_SECONDS = 300  # of one cell

CELLS = (
    """
# From a study to a figure

A study is a folder of tables, and this notebook reads one. `make demo` makes the study that is
opened here. Start Jupyter in the folder that holds `demo/`.

The patients of the demo are **synthetic**. Its numbers say nothing about medicine.
""",
    """
>>> import mmstudy
>>> from mmstudy import plots
>>>
>>> study = mmstudy.open_study("demo/studies/demo")
>>> study.question
""",
    """
## Read the tables

A trial is one set of hyperparameters, trained on every fold. The best trial comes first. Its value
is the mean validation AUROC over the folds.
""",
    """
>>> trials = study.trials()
>>> trials.select("number", "state", "value", "best_epoch", "param:train.lr").head(4)
""",
    """
These are Polars tables. `.to_pandas()` turns each of them into a pandas table.
""",
    """
>>> epochs = study.metrics().to_pandas()
>>> epochs.groupby("epoch")[["train_loss", "val_loss", "auroc"]].mean().round(3)
""",
    """
## See how the search went

Every chart of the dashboard is a function of `mmstudy.plots`. The last line of a cell draws it.
""",
    """
>>> plots.history(study)
""",
    """
>>> plots.learning_curves(study, top=3)
""",
    """
>>> plots.setting(study, "train.lr")
""",
    """
## Look at the best trial

Without a number, a chart shows the best trial. The band is the 95 % interval at each point. Trial
and epoch were chosen on these patients, so the curve is optimistic.
""",
    """
>>> plots.roc(study)
""",
    """
## Compare with the paper

The comparison says in words what the numbers allow to say.
""",
    """
>>> found = mmstudy.compare(study)
>>> found.summary
""",
    """
>>> plots.forest(study, "auroc", rows=found.rows)
""",
    """
## Keep a figure for a manuscript

The file's ending decides: `.pdf`, `.svg` or `.png`. Text stays text, and synthetic data are marked.
""",
    """
>>> plots.roc(study).save("roc.pdf")
""",
    """
Next: `mmstudy confirm` trains the best trials again on new folds. That shows what is left of their
values. `plots.confirmed(study)` then draws it.
""",
)


def notebook() -> NotebookNode:
    """The notebook without anything that running it adds."""
    cells = []
    for number, cell in enumerate(CELLS):
        lines = cell.strip().splitlines()
        code = lines[0].startswith(">>>")
        text = "\n".join(
            line.removeprefix(">>>").removeprefix(" ") if code else line for line in lines
        )
        made = (v4.new_code_cell if code else v4.new_markdown_cell)(text)
        made.id = f"cell-{number}"
        cells.append(made)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return v4.new_notebook(cells=cells, metadata=metadata)


def executed(folder: Path) -> NotebookNode:
    """The notebook with what its cells show when they run in `folder`.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    made = notebook()
    metadata = made.metadata.copy()
    with TemporaryDirectory() as sockets:  # a port of this machine could be reached by others
        client = NotebookClient(
            made,
            timeout=_TIMEOUT_SECONDS,
            resources={"metadata": {"path": str(folder)}},
            record_timing=False,
            config=Config(KernelManager={"transport": "ipc", "ip": f"{sockets}/kernel"}),
        )
        found = client.execute()
    found.metadata = metadata  # without this machine's versions
    return found


def main() -> None:
    """Run the cells and write the file."""
    parser = argparse.ArgumentParser(description="Run the notebook and keep what it shows.")
    parser.add_argument("folder", type=Path, help="holds demo/studies/demo")
    parser.add_argument("--out", type=Path, default=NOTEBOOK, help="the file that is written")
    given = parser.parse_args()
    nbformat.write(executed(given.folder), given.out)


if __name__ == "__main__":
    main()
