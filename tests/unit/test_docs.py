"""Every page: its links lead somewhere, the settings and files that it names exist, and it has the glossary's words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controller.domain.reason import ReasonCode
from controller.settings.tree import leaves

ROOT = Path(__file__).parents[2]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *DECISIONS,
    ROOT / "manifests" / "README.md",
    ROOT / "charts" / "eureka-drain" / "README.md",
]
NAMES = {str(page.relative_to(ROOT)): page for page in PAGES}
GENERATED = {"docs/configuration.md", "docs/metrics.md"}
"""By `make docs`: their words are the code's."""
SETTINGS = {".".join(path) for path, _ in leaves()}
GROUPS = {name.partition(".")[0] for name in SETTINGS if "." in name}
OLD_WORDS = {
    r"\b(tells?|told|telling)\b": "say, report, write, record",
    r"\b[Hh]e\b|\b[Hh]is\b|\b[Hh]im\b": "the noun",
    r"\bof (which|whom)\b": "a sentence of its own",
    r"\bladder\b": "delay queues",
    r"\b[Mm]end(s|ed|ing)?\b": "fix, correct, repair",
    r"\bhints?\b": "annotations",
    r"\bkinds? of reasons?\b": "reason codes",
    r"\b(percent_a_minute|events_read|stop\.within|longest_backoff)\b": "the setting of the glossary",
    r"\bLEAVE\b": "SHUTDOWN",
}
"""By pattern, what stands instead: see the glossary."""


def text_of(name: str) -> str:
    return NAMES[name].read_text()


def prose_of(name: str) -> str:
    """Return the page without its blocks, its code and its links' targets."""
    text = re.sub(r"^```.*?^```", "", text_of(name), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`|\]\([^)]*\)|^ {4}.*$", "", text, flags=re.MULTILINE)


def anchors_of(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links_of(name: str) -> list[str]:
    """Return what the page links to, other sites left out."""
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text_of(name)))
    return [link for link in links if not re.match(r"[a-z]+:", link)]


def leads_somewhere(name: str, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (NAMES[name].parent / path) if path else NAMES[name]
    return target.exists() and (not anchor or anchor in anchors_of(target))


def settings_named_in(name: str) -> list[str]:
    text = re.sub(r"\((was|were)\s[^)]*\)", "", text_of(name))
    named = re.findall(r"`([a-z_]+(?:\.(?:[a-z_]+|NAME|<region>))+)(?=[`:=])", text)
    return [one.replace("<region>", "NAME") for one in named if one.partition(".")[0] in GROUPS]


def is_setting(name: str) -> bool:
    return any(known == name or known.startswith(f"{name}.") for known in SETTINGS)


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_to_a_page_and_to_its_heading(name: str) -> None:
    assert [link for link in links_of(name) if not leads_somewhere(name, link)] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_that_is_named_exists(name: str) -> None:
    assert [one for one in settings_named_in(name) if not is_setting(one)] == []


def test_links_settings_and_modules_are_found_on_the_pages() -> None:
    assert sum(len(links_of(name)) for name in NAMES) > 50
    assert sum(len(settings_named_in(name)) for name in NAMES) > 50
    assert sum(len(modules_named_in(page)) for page in DECISIONS) > 5
    assert not leads_somewhere("README.md", "docs/architecture.md#no-such-heading")
    assert not leads_somewhere("README.md", "docs/no-such-page.md")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in GENERATED])
def test_no_page_uses_a_word_that_the_glossary_replaces(name: str) -> None:
    prose = prose_of(name)
    found = [f"{match[0]!r}: {instead}" for old, instead in OLD_WORDS.items() for match in re.finditer(old, prose)]
    assert not found


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_its_status_its_date_and_its_alternatives(page: Path) -> None:
    text = page.read_text()
    head = r"# [^\n]+\n\n- Status: (?:accepted|superseded)[^\n]*\n- Date: 20\d\d-\d\d-\d\d\n\n"
    assert re.match(head, text)
    _, _, alternatives = text.partition("\n## Alternatives\n")
    assert re.findall(r"^- \*\*", alternatives, re.MULTILINE)


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_is_found_from_the_architecture_page(page: Path) -> None:
    assert f"](decisions/{page.name})" in (ROOT / "docs" / "architecture.md").read_text()


def modules_named_in(page: Path) -> list[str]:
    text = page.read_text()
    ours = re.findall(r"`((?:domain|flows|messages|kube|rabbit|eureka|ops|app|cli)/[\w/]+)`", text)
    return [f"controller/{name}.py" for name in ours] + re.findall(r"`(tests/[\w/.]+)`", text)


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_modules_that_a_decision_names_exist(page: Path) -> None:
    assert [path for path in modules_named_in(page) if not (ROOT / path).exists()] == []


def test_every_reason_code_is_in_the_runbook() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    assert [code for code in ReasonCode if code not in runbook] == []
