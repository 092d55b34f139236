"""Where numbers come from, and what that forbids to say of them.

Synthetic patients were drawn by a program. An oracle was told where the lesion is: its windows were
centred on the annotation, also at evaluation. Either makes a number useless for a claim about
patients, so its mark stands in every table, every row for machines and every picture. The words are
written here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Origin"]

_SYNTHETIC, _ORACLE = "SYNTHETIC", "ORACLE"
_OF_SYNTHETIC = f"{_SYNTHETIC} DATA: numbers computed from it say nothing about patients."
_OF_ORACLE = f"{_ORACLE}: windows were centred on the annotated lesion, also at evaluation."


@dataclass(frozen=True, slots=True)
class Origin:
    """Whether numbers are of synthetic patients, and whether the lesion's place was told.

    >>> Origin().column, Origin(synthetic=True).column
    ('real', 'SYNTHETIC')
    >>> Origin(oracle=True).column, Origin(synthetic=True, oracle=True).column
    ('ORACLE', 'SYNTHETIC ORACLE')
    """

    synthetic: bool = False
    oracle: bool = False

    @property
    def mark(self) -> str:
        """The marks with a space between, for names, pictures and notes; empty where none is due.

        >>> Origin(oracle=True).mark, Origin().mark
        ('ORACLE', '')
        """
        return " ".join([_SYNTHETIC] * self.synthetic + [_ORACLE] * self.oracle)

    @property
    def column(self) -> str:
        """The value of the column `origin` in rows for machines.

        It is one of `real`, `SYNTHETIC`, `ORACLE`, `SYNTHETIC ORACLE`. So `real` keeps exactly the
        rows that may speak of patients, and a search for one word finds all rows that have it.
        """
        return self.mark or "real"

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence per mark, for humans; none where the numbers are real."""
        return (_OF_SYNTHETIC,) * self.synthetic + (_OF_ORACLE,) * self.oracle

    @property
    def sentence(self) -> str:
        """All warnings as one text; empty where the numbers are real."""
        return " ".join(self.warnings)

    @property
    def caution(self) -> str | None:
        """Why no test of such a result is valid, as a clause about `ours`; None where it may be.

        >>> Origin(synthetic=True).caution
        'ours is of SYNTHETIC patients'
        """
        if self.synthetic:
            return f"ours is of {_SYNTHETIC} patients"
        return f"ours was told where the lesion is ({_ORACLE})" if self.oracle else None

    def named(self, name: str) -> str:
        """A name with the marks behind it, if any is due.

        >>> Origin(synthetic=True).named("made trial 0"), Origin().named("made trial 0")
        ('made trial 0 (SYNTHETIC)', 'made trial 0')
        """
        return f"{name} ({self.mark})" if self.mark else name
