"""The dashboard: one study at a time, running or finished. `mmstudy dashboard` serves it."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

sys.path.insert(0, str(Path(__file__).parent))  # Streamlit runs this file as a script

import loading
from views import study as study_view

st.set_page_config(page_title="MMCAF-Net studies", page_icon="🫁", layout="wide")


def main() -> None:
    """Pick a study, show it."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "studies")
    found = loading.studies(root)
    st.title("MMCAF-Net studies")
    if not found:
        st.info("No study here yet. `mmstudy run smoke --cohort COHORT` begins one.")
        return
    names = [study.name for study in found]
    chosen = st.selectbox("Study", names, key="study", bind="query-params")
    study_view.show(found[names.index(chosen)])


main()
