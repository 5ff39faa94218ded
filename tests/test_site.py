"""The documentation site: all pages are in it, links lead somewhere, nothing comes from outside."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import browser
import pytest
import yaml
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [page.relative_to(DOCS).as_posix() for page in sorted(DOCS.rglob("*.md"))]
LOADS = {"src", "srcset", "data", "poster"}
OUTSIDE = re.compile(r"url\([\"']?((?:https?:)?//[^)]+)")
SAME = ("h2", "h3", "li", "tr", "pre", "blockquote", "img")
READER = MarkdownIt("commonmark").enable("table")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does, elsewhere."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", folder]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={"NO_MKDOCS_2_WARNING": "1"}
    )
    assert (done.returncode, warned(done.stdout + done.stderr)) == (0, [])
    return folder


def warned(log: str) -> list[str]:
    """Return what a build says beyond its progress; `--quiet` would make it forget to be strict."""
    return [line for line in log.split("\n") if line and not line.startswith("INFO ")]


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


@cache
def tags(page: Path) -> list[tuple[str, dict[str, str]]]:
    return Tags(page.read_text()).found


def built(site: Path, page: str) -> Path:
    path = (site / page).with_suffix(".html")
    return path.with_name("index.html") if path.name == "README.html" else path


def entries(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif nav:
        for each in nav.values() if isinstance(nav, dict) else nav:
            yield from entries(each)


def configured() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def test_the_navigation_names_every_page_once() -> None:
    named = Counter(e for e in entries(configured()["nav"]) if not e.startswith("repository/"))
    folders = tuple(each for each in named if each.endswith("/"))
    assert max(named.values()) == 1
    missing = [p for p in PAGES if p not in named and not p.startswith(folders)]
    gone = [each for each in named if not (DOCS / each).exists()]
    assert (missing, gone) == ([], [])


def test_a_page_of_each_kind_stands_in_its_section() -> None:
    sections = {k: list(entries(v)) for each in configured()["nav"] for k, v in each.items()}
    for title, folder in (
        ("Tutorials", "tutorials/"),
        ("How-to", "how-to/"),
        ("Explanation", "explanation/"),
        ("Reference", "reference/"),
    ):
        others = [e for e in sections[title] if not e.startswith((folder, "repository/"))]
        assert others == [], title


def test_nothing_is_loaded_from_outside(site: Path) -> None:
    outside = []
    for page in site.rglob("*.html"):
        for tag, attributes in tags(page):
            loaded = {n: v for n, v in attributes.items() if n in LOADS or tag == "link"}
            outside += [(page.name, v) for v in loaded.values() if re.match(r"(https?:)?//", v)]
    for sheet in site.rglob("*.css"):
        outside += [(sheet.name, url) for url in OUTSIDE.findall(sheet.read_text())]
    assert outside == []


def test_no_page_asks_the_script_for_what_it_would_fetch(site: Path) -> None:
    """Material's script holds the addresses of diagrams' drawer and of a repository's stars."""
    asked = {"mermaid", "md-source"}
    for page in site.rglob("*.html"):
        classes = {c for _, a in tags(page) for c in a.get("class", "").split()}
        assert not classes & asked, page.name


def test_every_link_of_the_built_site_leads_to_a_file_and_an_anchor(site: Path) -> None:
    broken = []
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # stands for any address, so its links begin at the root
            continue
        for tag, attributes in tags(page):
            link = attributes.get("href", attributes.get("src", ""))
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or not link:
                continue
            to = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            to = to / "index.html" if to.is_dir() else to
            if not to.is_file() or (parts.fragment and not anchored(to, parts.fragment)):
                broken.append((page.relative_to(site).as_posix(), tag, link))
    assert broken == []


def anchored(page: Path, fragment: str) -> bool:
    return page.suffix != ".html" or unquote(fragment) in {a.get("id") for _, a in tags(page)}


@pytest.mark.parametrize("page", [p for p in PAGES if not p.endswith("README.md")])
def test_a_page_has_the_parts_on_the_site_that_it_has_in_the_repository(
    site: Path, page: str
) -> None:
    """MkDocs' Markdown is not CommonMark: a list right below a sentence is none there."""
    here = READER.render((DOCS / page).read_text())
    there = built(site, page).read_text()
    there = there[there.index("<article") : there.index("</article>")]
    assert counted(there) == counted(here)


@pytest.mark.parametrize("page", [p for p in PAGES if not p.startswith("adr/")])
def test_a_block_that_is_not_run_says_why_below_it(site: Path, page: str) -> None:
    reasons = re.findall(r"^ *<!-- not run: (.*) -->$", (DOCS / page).read_text(), re.MULTILINE)
    shown = r'</pre></div>\s*<p><small class="not-run">Not run in the tests: (.*?)</small></p>'
    said = re.findall(shown, built(site, page).read_text(), re.DOTALL)
    assert [plain(each) for each in said] == [plain(READER.renderInline(each)) for each in reasons]


def plain(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html).strip()


def counted(html: str) -> Counter[str]:
    return Counter(tag for tag, _ in Tags(html).found if tag in SAME)


@pytest.mark.parametrize("page", [p for p in PAGES if not p.startswith("adr/0")])
def test_a_page_begins_with_its_title_and_what_it_gives(page: str) -> None:
    title, empty, sentence = (DOCS / page).read_text().split("\n", 2)
    assert title.startswith("# ")
    assert empty == ""
    assert re.match(r"[A-Z`*a-z\[]", sentence), sentence[:60]


def test_a_bar_in_code_in_a_table_shows_no_backslash(site: Path) -> None:
    assert "str | Path" in (site / "reference/python.html").read_text()
    assert "\\|" not in (site / "reference/python.html").read_text()


def test_a_link_out_of_docs_leads_to_what_was_brought_in(site: Path) -> None:
    links = {a["href"] for tag, a in tags(site / "explanation/streaming.html") if "href" in a}
    assert "../repository/benchmarks/RESULTS.html" in links
    assert (site / "repository/notebooks/modelcar.ipynb").is_file()
    notebook = (site / "repository/notebooks/modelcar.html").read_text()
    assert 'href="modelcar.ipynb"' in notebook


SMALL = """\
site_name: small
strict: true
use_directory_urls: false
theme: {name: material, font: false}
hooks: [.ci/site.py]
nav: [index.md]
validation: {links: {anchors: warn}}
"""


def small(folder: Path, page: str) -> list[str]:
    """Build a site of one page beside some files, by the same hook; return what it warns of."""
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/site.py", folder / ".ci")
    (folder / "mkdocs.yml").write_text(SMALL)
    for name, text in {
        "docs/index.md": f"# Home\n\n{page}\n",
        "code/one.py": "print(`1`)\n",
        "code/large.yaml": "a: b\n" * 20_000,
        "read/README.md": "# Read\n\n[One](../code/one.py#L1), [home](../docs/index.md)\n",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    command = [sys.executable, "-m", "mkdocs", "build"]
    environment = {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    return warned(done.stdout + done.stderr)


def test_a_folder_leads_to_its_readme_or_to_a_list(tmp_path: Path) -> None:
    assert small(tmp_path, "[Read](../read/), [code](../code)") == []
    links = [a.get("href") for _, a in tags(tmp_path / "site/index.html")]
    assert "repository/read/index.html" in links
    assert "repository/code/index.html" in links
    listed = [a.get("href") for _, a in tags(tmp_path / "site/repository/code/index.html")]
    assert {"one.py.html", "large.yaml"} <= set(listed)


def test_a_short_source_is_a_page_with_the_file_beside_it(tmp_path: Path) -> None:
    assert small(tmp_path, "[Source](../code/one.py) and [more](../code/large.yaml)") == []
    page = tmp_path / "site/repository/code/one.py.html"
    assert "one.py" in [a.get("href") for _, a in tags(page)]
    assert (tmp_path / "site/repository/code/one.py").read_text() == "print(`1`)\n"
    assert not (tmp_path / "site/repository/code/large.yaml.html").exists()


@pytest.mark.parametrize("link", ["../code/two.py", "../../outside.md", "nothing.md", "#nowhere"])
def test_a_link_that_leads_nowhere_stops_the_build(tmp_path: Path, link: str) -> None:
    assert link in "\n".join(small(tmp_path, f"[Gone]({link})"))


def test_every_page_is_found_by_the_search(site: Path) -> None:
    index = (site / "search/search_index.json").read_text()
    for page in PAGES:
        assert f'"{built(site, page).relative_to(site).as_posix()}' in index or page == "index.md"


def test_pages_opened_from_a_disk_can_be_searched(site: Path, tmp_path: Path) -> None:
    page = f"{(site / 'index.html').as_uri()}?q=mount_from"
    assert re.search(r"[1-9]\d* matching document", browser.source(page, tmp_path))


def test_an_answer_is_found_before_the_decision_behind_it(site: Path) -> None:
    entries = json.loads((site / "search/search_index.json").read_text())["docs"]
    boosts = {entry["location"]: entry.get("boost", 1) for entry in entries}
    assert boosts["adr/0023-reuse-and-trust.html"] < boosts["explanation/trust.html"] == 1
    assert boosts["repository/CHANGELOG.html"] < 1


def test_the_decision_says_what_the_theme_says_of_its_end() -> None:
    import material

    notice = Path(material.__file__).with_name("templates") / "__init__.py"
    (end,) = re.findall(r"reaches end of life on ([A-Z][a-z]+ \d+, \d{4})", notice.read_text())
    assert end in (DOCS / "adr/0053-documentation-site.md").read_text()
