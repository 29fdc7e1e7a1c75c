"""What the documents say of the code is there: files, classes, RFCs, links."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "deploy" / "README.md",
    ROOT / "tests" / "README.md",
    *sorted(ROOT.glob("tests/vectors/*/README.md")),
    *sorted(ROOT.glob("docs/*.md")),
]
SOURCES = {path: path.read_text(encoding="utf-8") for path in ROOT.glob("voip/**/*.py")}
STANDARDS = (ROOT / "docs" / "standards.md").read_text(encoding="utf-8")

MENTIONED = {"768", "791", "792", "8200", "1890"}
"""RFCs whose facts are used, or whose history is told, without being implemented."""

LONGEST_LINE = 120
"""Columns of a line of prose; rows of tables are as long as their cells."""
_PATH = re.compile(r"`((?:[\w.-]+/)*[\w.-]+(?:/|\.(?:py|md|json|svg)))(?:::?\w+)?`")
_CLASS = re.compile(r"`([A-Z]\w+)(?:\.(\w+))?[(`]")
_LINK = re.compile(r"\]\(([^)#:]+)\)")
_PLACE = re.compile(r"\]\(([^)#:]*)#([\w-]+)\)")


def text(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def names(documents: list[Path]) -> list[Path]:
    return [path for path in documents if path.exists()]


@pytest.mark.parametrize("document", names(DOCUMENTS), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_a_document_names_exist(document: Path) -> None:
    """A path is that of the repository, or, for short, one within `voip`, `tests` or the document's own folder."""
    bases = (ROOT, ROOT / "voip", ROOT / "tests", document.parent)
    named = {name for name in _PATH.findall(text(document)) if "/" in name.rstrip("/") or name.endswith("/")}
    assert [name for name in sorted(named) if not any((base / name).exists() for base in bases)] == []


@pytest.mark.parametrize("document", names(DOCUMENTS), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_document_lead_somewhere(document: Path) -> None:
    assert [link for link in _LINK.findall(text(document)) if not (document.parent / link).exists()] == []


def headings(document: Path) -> set[str]:
    """As GitHub names them in a link."""
    titles = re.findall(r"^#+ (.*)$", text(document), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", names(DOCUMENTS), ids=lambda path: str(path.relative_to(ROOT)))
def test_headings_that_a_document_links_to_exist(document: Path) -> None:
    for file, heading in _PLACE.findall(text(document)):
        assert heading in headings(document.parent / file if file else document), f"{file}#{heading}"


@pytest.mark.parametrize("document", names(DOCUMENTS), ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_of_a_document_fit_into_an_editor(document: Path) -> None:
    lines = enumerate(text(document).splitlines(), 1)
    assert [f"{number}: {len(line)}" for number, line in lines if len(line) > LONGEST_LINE and line[0] != "|"] == []


@pytest.mark.parametrize("document", names(DOCUMENTS), ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_that_a_document_names_exist(document: Path) -> None:
    named = set(re.findall(r"python -m ((?:tests|tools)(?:\.\w+)+)", text(document)))
    assert [name for name in sorted(named) if importlib.util.find_spec(name) is None] == []


def test_causes_of_warnings_are_explained_and_each_is_behind_a_symptom() -> None:
    code = "\n".join(source for path, source in SOURCES.items() if path.is_relative_to(ROOT / "voip" / "calls"))
    sections = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n)+)", text(ROOT / "docs" / "using.md"), re.MULTILINE))
    explained = set(re.findall(r"^\| `([a-z-]+)`", sections["What it warns of"], re.MULTILINE))
    assert set(re.findall(r'Finding\(\s*"([a-z-]+)"', code)) - {"no-rtcp"} <= explained  # said only at -v
    assert [cause for cause in sorted(explained) if f'"{cause}"' not in code] == []
    assert [cause for cause in sorted(explained) if f"`{cause}`" not in sections["When something is wrong"]] == []


@pytest.mark.parametrize("name", ["architecture", "time", "playout", "fec", "glossary"])
def test_classes_that_a_document_names_exist(name: str) -> None:
    code = "\n".join(SOURCES.values())
    for owner, member in set(_CLASS.findall(text(ROOT / "docs" / f"{name}.md"))):
        if owner.isupper() or "_" in owner:
            assert re.search(rf"\b{owner}\b", code), owner
            continue
        assert re.search(rf"^\s*(?:class|type) {owner}\b|^{owner} = ", code, re.MULTILINE), owner
        assert not member or re.search(rf"\b{member}\b", code), f"{owner}.{member}"


def rows() -> list[tuple[str, str]]:
    """RFC number and file, of each row of docs/standards.md."""
    found = []
    for row in re.findall(r"^\| RFC ([\d, ]+) \|.*\| (.*) \|$", STANDARDS, re.MULTILINE):
        found += [
            (number, file) for file in re.findall(r"`([\w/.]+)`", row[1]) for number in re.findall(r"\d+", row[0])
        ]
    return found


@pytest.mark.parametrize(("number", "file"), rows())
def test_a_file_of_the_table_of_standards_names_its_rfc(number: str, file: str) -> None:
    assert re.search(rf"RFC {number}\b|\b{number}\b", text(ROOT / file))


def test_every_rfc_that_a_module_says_it_implements_is_in_the_table() -> None:
    listed = {number for number, _ in rows()}
    named = {
        number
        for source in SOURCES.values()
        for number in re.findall(r"RFC (\d{3,4})", source.split('"""')[1] if source.startswith('"""') else "")
    }
    assert named - listed - MENTIONED == set()
