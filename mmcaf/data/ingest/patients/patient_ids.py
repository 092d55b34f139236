"""How the id of a patient is spelled: in tags, folder names, the sheet and annotation folders.

The collection writes `Lung_Dx-A0002` in tags and `A0002` in the sheet. Exports add blanks, change
the case or the separators; each spelling that can mean one patient only is read as that patient.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["folder_patients", "patient_id"]

_SPELLING = re.compile(r"(?:lung[\W_]*dx[\W_]*)?([abeg])[\s_-]*([0-9]{4})", re.IGNORECASE)
_AROUND = " \t\r\n\0\u200b\ufeff\"'"  # blanks, padding and quotes beside an id


def patient_id(text: object) -> str | None:
    """The patient that `text` names, as `A0002`; None where it is no id of the collection.

    >>> patient_id("Lung_Dx-A0002"), patient_id(" lung_dx-a0002 "), patient_id("LUNG DX A 0002")
    ('A0002', 'A0002', 'A0002')
    >>> patient_id("A002"), patient_id("A0002-1"), patient_id(None)
    (None, None, None)
    """
    plain = unicodedata.normalize("NFKC", str(text if text is not None else ""))
    spelled = _SPELLING.fullmatch(plain.strip(_AROUND))
    return f"{spelled[1].upper()}{spelled[2]}" if spelled else None


def folder_patients(folder: str) -> tuple[str, ...]:
    """The patients that the folders on a way name, the innermost one last.

    Args:
        folder: the way, with forward slashes.

    >>> folder_patients("Lung-PET-CT-Dx/Lung_Dx-A0002/04-01-2007/2-chest")
    ('A0002',)
    """
    return tuple(found for name in folder.split("/") if (found := patient_id(name)))
