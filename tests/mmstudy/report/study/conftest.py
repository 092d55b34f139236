"""One study with a cohort and a look at its test set, read and rendered once for all tests here."""

from __future__ import annotations

import numpy as np
import pytest

from mmstudy.report.study.evidence import Evidence, gather
from mmstudy.report.study.page import page as rendered
from mmstudy.report.study.write import sections_of
from mmstudy.study import Study
from support.made_study import add_look
from support.reported_study import reported_study


@pytest.fixture(scope="package")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    found = reported_study(tmp_path_factory.mktemp("report"))
    scores = np.random.default_rng(3).uniform(size=6)
    add_look(found, 0, np.arange(6) % 2, scores)
    return found


@pytest.fixture(scope="package")
def evidence(study: Study) -> Evidence:
    return gather(study)


@pytest.fixture(scope="package")
def page(evidence: Evidence) -> str:
    study = evidence.study
    return rendered(study.name, study.origin, sections_of(evidence), evidence.hide)
