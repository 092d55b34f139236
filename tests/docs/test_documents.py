"""Documents that cannot lie: links lead somewhere, paths exist, commands parse, examples run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from mmcaf.data.synthetic.write import Variant
from mmstudy.spec.study_spec import ProtocolSpec, SearchSpec, parse_spec
from support.documents import ROOT, Block, anchors, blocks, links, pages, prose, quoted, sentences

MOST_LINES = 120  # of the README
MOST_WORDS = 25  # of a sentence
NAMES = [str(page.relative_to(ROOT)) for page in pages()]
LANGUAGES = {"sh", "python", "yaml", "toml", "mermaid", "nginx", ""}
GENERATED = "<!-- Written by docs/generate.py"


def by_hand() -> list[Path]:
    """What is written for this reader; not the changelog, and not what a program writes."""
    left_out = ("CHANGELOG.md", "platform/deploy/README.md")
    there = [page for page in pages() if str(page.relative_to(ROOT)) not in left_out]
    return [page for page in there if not page.read_text("utf-8").startswith(GENERATED)]


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_files_and_headings_that_exist(name: str) -> None:
    page = ROOT / name
    for line, target in links(page):
        path, _, anchor = target.partition("#")
        if re.match(r"https?://", target):
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{name}:{line}: {target} does not exist"
        assert not anchor or anchor in anchors(there), f"{name}:{line}: {target} has no heading"


@pytest.mark.parametrize("name", NAMES)
def test_paths_in_backticks_exist(name: str) -> None:
    if name == "CHANGELOG.md":
        return  # of the past, too
    tops = {path.name for path in ROOT.iterdir()}
    for line, text in quoted(ROOT / name):
        found = re.fullmatch(r"([\w.-]+)/([\w./-]*)", text)
        if found is None or found[1] not in tops or "NAME" in text:
            continue
        assert (ROOT / text).exists() or _is_made(text), f"{name}:{line}: no {text}"


def _is_made(path: str) -> bool:
    """Whether a path is one that a command of these pages makes."""
    return path.startswith(("demo", ".venv", "studies", "cohorts"))


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        reached.add(page)
        targets = {(page.parent / target.partition("#")[0]).resolve() for _, target in links(page)}
        todo += [one for one in targets if one.suffix == ".md" and one not in reached]
    assert set(pages()) <= reached


@pytest.mark.parametrize("page", by_hand(), ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_are_short(page: Path) -> None:
    long = [
        f"{page.name}:{line}: {len(one.split())} words: {one}"
        for line, text in prose(page)
        for one in sentences(text)
        if len(one.split()) > MOST_WORDS and "doi.org" not in text
    ]
    assert not long, "\n".join(long)


@pytest.mark.parametrize("name", NAMES)
def test_every_code_block_names_its_language(name: str) -> None:
    for block in blocks(ROOT / name):
        assert block.language in LANGUAGES, str(block)
        assert block.language or name == "platform/deploy/README.md", str(block)


def _of(language: str) -> list[Block]:
    return [block for page in pages() for block in blocks(page) if block.language == language]


@pytest.mark.parametrize("block", _of("yaml"), ids=str)
def test_yaml_blocks_name_settings_that_exist(block: Block) -> None:
    given = yaml.safe_load(block.text)
    spec = parse_spec({"question": "Is it so?"} | given, source=str(block))
    assert given.keys() <= spec.model_fields_set


@pytest.mark.parametrize("block", _of("toml"), ids=str)
def test_toml_blocks_can_be_read(block: Block) -> None:
    assert tomllib.loads(block.text)


def options(model: type[BaseModel], field: str) -> tuple[str, ...]:
    return get_args(model.model_fields[field].annotation)


def found_in(name: str, pattern: str) -> list[str]:
    return re.findall(pattern, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("CONTRIBUTING.md", [f"`make {name}`" for name in found_in("Makefile", r"^([\w-]+):")]),
        ("docs/how-to/share-the-dashboard.md", found_in("dashboards/app.py", r'\btitle="([^"]+)"')),
        ("docs/how-to/write-a-spec.md", [f"`{name}`" for name in options(SearchSpec, "sampler")]),
        ("docs/how-to/make-synthetic-patients.md", [f"`{n}`" for n in get_args(Variant)[1:]]),
        ("docs/how-to/write-a-spec.md", [f"kind: {n}" for n in options(ProtocolSpec, "kind")]),
    ],
)
def test_a_list_by_hand_is_complete(page: str, names: list[str]) -> None:
    assert names
    text = (ROOT / page).read_text(encoding="utf-8")
    assert [name for name in names if name not in text] == []


def test_the_citation_is_valid_and_the_readme_cites_the_same() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= cited.keys()
    assert cited["type"] in ("software", "dataset")
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    for reference in cited["references"]:
        assert {"type", "title", "authors"} <= reference.keys()
        assert re.fullmatch(r"10\.\d{4,9}/[\w:/;.()\[\]-]+", reference["doi"])
        assert reference["title"] in readme
        assert f"https://doi.org/{reference['doi']}" in readme
        assert all(f"{one['family-names']}, " in readme for one in reference["authors"])
