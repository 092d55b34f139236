"""The router: which pages there are, which study is meant. `mmstudy dashboard` serves it."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

sys.path.insert(0, str(Path(__file__).parent))  # Streamlit runs this file as a script

import frame
import loading
import signin
from views import cases, compare, confirm, overview, paper, parameters, studies, trial, trials

ICON = Path(__file__).with_name("icon.png")  # a local file: named icons are fetched from elsewhere

st.set_page_config(page_title="MMCAF-Net studies", page_icon=str(ICON), layout="wide")

SECTIONS = {
    "": [st.Page(studies.show, title="Studies", url_path="studies", default=True)],
    "Study": [
        st.Page(overview.show, title="Overview", url_path="study"),
        st.Page(trials.show, title="Trials", url_path="trials"),
        st.Page(parameters.show, title="Parameters", url_path="parameters"),
        st.Page(compare.show, title="Compare", url_path="compare"),
    ],
    "Evidence": [
        st.Page(trial.show, title="One trial", url_path="trial"),
        st.Page(cases.show, title="Cases", url_path="cases"),
        st.Page(confirm.show, title="Confirmation", url_path="confirm"),
        st.Page(paper.show, title="The paper", url_path="paper"),
    ],
}


def main() -> None:
    """Let in who may come, go where a callback wanted, show the page."""
    if not signin.let_in():
        return
    pages = {page.url_path: page for section in SECTIONS.values() for page in section}
    current = st.navigation(SECTIONS)
    if (to := frame.going()) is not None:
        # Not `None`: that would clear the address, which bound widgets refuse; they fill it anew.
        st.switch_page(pages[to], query_params={})
    names = [one.folder.name for one in loading.found(frame.root())]
    if names:
        if st.session_state.get("study") not in (None, *names):
            del st.session_state["study"]  # deleted since
        asked = st.query_params.get("study", names[0])
        st.sidebar.selectbox("Study", names, key="study", bind="query-params")
        if asked not in names:
            frame.tell("warning", f"There is no study {asked!r} here; this is another.")
    st.title(current.title)
    current.run()


main()
