"""Hook of MkDocs: links that leave docs/ work on the site as they do in the repository.

No public address of the repository is known, and none would help on a network without internet, so
what pages link to is brought in under ``repository/``: Markdown as pages, notebooks as pages, short
sources as pages with their code, everything as the file itself. A link to a folder leads to its
README, or to a page that lists it. Anchors are GitHub's, so one spelling holds in both places.
Why a block is not run stands in a comment, which no reader of a site sees: it is said below it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor
from markdown.util import AtomicString
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parents[1]
BROUGHT = "repository"
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)|^\s*\[[^\]]+\]:\s*<?([^\s>]+)", re.MULTILINE)
_NOT_RUN = re.compile(
    r"^(?P<indent> *)<!-- not run: (?P<reason>[^\n]*\S) -->\n"
    r" *(?:(?:[-*+]|\d+[.)]) +)?(?P<fence>`{3,}|~{3,})[^\n]*\n(?:.*?\n)?? *(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)
_SAID = '{block}\n\n{indent}<small class="not-run">Not run in the tests: {reason}</small>\n'
_HEADING = re.compile(r"^# (.+)$", re.MULTILINE)
_CODE = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".sh": "sh", ".toml": "toml"}
_CODE_PAGES = tuple(f"{ending}.md" for ending in _CODE)
_SHOWN_BYTES = 64 << 10  # a compiled pipeline is downloaded, nobody reads it as a page
_SOURCE = """\
---
search:
  exclude: true
---
# `{name}`

[The file itself]({file})

`````{language}
{text}
`````
"""


class Site:
    """Where each file of the repository is on the site, and the page being rendered."""

    def __init__(self, config: MkDocsConfig) -> None:
        self.config = config
        self.docs = Path(config.docs_dir).relative_to(ROOT).as_posix()
        self.places: dict[str, str] = {}
        self.sources: dict[str, str] = {}
        self.page = ""

    def put(self, source: str, place: str) -> None:
        """Note that a file of the repository is at a place of the site."""
        self.places[source], self.sources[place] = place, source

    def lead(self, link: str) -> str:
        """Return where a link of the current page leads on the site; as it is, if nowhere."""
        found = self.places.get(resolved(link, self.sources.get(self.page, "")), self.page)
        if found == self.page:  # a page made of a file links to that file, which lies beside it
            return link
        place = posixpath.relpath(found, posixpath.dirname(self.page) or ".")
        _, mark, anchor = link.partition("#")
        return place if found.endswith(_CODE_PAGES) else place + mark + anchor  # no lines there


class Links(Extension):
    """Python-Markdown's side of it: links are turned before MkDocs validates them."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - Python-Markdown's name
        """Register the step; MkDocs' own has priority 0."""
        md.treeprocessors.register(_Turned(md, self.site), "carferry-links", 1)


class _Turned(Treeprocessor):
    def __init__(self, md: Markdown, site: Site) -> None:
        super().__init__(md)
        self.site = site

    def run(self, root: Element) -> None:
        for name, attribute in (("a", "href"), ("img", "src")):
            for each in root.iter(name):
                if link := each.get(attribute):
                    each.set(attribute, self.site.lead(link))
        for cell in (*root.iter("td"), *root.iter("th")):
            for code in cell.iter("code"):  # as GitHub shows it: there the cell ends at a bare one
                code.text = AtomicString((code.text or "").replace("\\|", "|"))


def resolved(link: str, source: str) -> str:
    """Return the path in the repository that a relative link of a file names; else nothing."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or not parts.path or parts.path.startswith("/"):
        return ""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), unquote(parts.path)))


def linked(text: str, source: str) -> Iterator[str]:
    """Yield the paths that a Markdown file seems to link to; one too many does no harm."""
    for match in _LINK.finditer(text):
        if target := resolved(match[1] or match[2], source):
            yield target


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Take GitHub's anchors, turn links, and let a folder in the navigation mean its pages."""
    site = Site(config)
    config.extra["repository"] = site
    config.mdx_configs.setdefault("toc", {})["slugify"] = slugify(case="lower")
    config.markdown_extensions.append(Links(site))
    config.nav = _expanded(config.nav, Path(config.docs_dir))
    return config


def _expanded(entry: Any, docs: Path) -> Any:
    if isinstance(entry, list):
        return [_expanded(each, docs) for each in entry]
    if isinstance(entry, dict):
        return {title: _expanded(each, docs) for title, each in entry.items()}
    if not str(entry).endswith("/"):
        return entry
    if entry.startswith(f"{BROUGHT}/"):
        folder = ROOT / entry.removeprefix(f"{BROUGHT}/")
        return [f"{entry}{notebook.stem}.md" for notebook in sorted(folder.glob("*.ipynb"))]
    pages = sorted((docs / entry).glob("*.md"), key=lambda page: (page.name != "README.md", page))
    return [page.relative_to(docs).as_posix() for page in pages]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Bring in what the pages and the navigation name outside docs/, and what that names."""
    site: Site = config.extra["repository"]
    waiting = [target for place in _named(config.nav) for target in _outside(place)]
    for file in files:
        if file.abs_src_path and Path(file.abs_src_path).is_relative_to(config.docs_dir):
            site.put(f"{site.docs}/{file.src_uri}", file.src_uri)
            waiting += _targets(file, site)
    while waiting:
        target = waiting.pop()
        if target in site.places or target.startswith("..") or not (ROOT / target).exists():
            continue
        for file in _brought(target, site):
            files.append(file)
            waiting += _targets(file, site)
    return files


def _named(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    for each in entry.values() if isinstance(entry, dict) else entry or ():
        if not isinstance(entry, str):
            yield from _named(each)


def _outside(place: str) -> Iterator[str]:
    source = place.removeprefix(f"{BROUGHT}/")
    if source != place:
        notebook = source.removesuffix(".md") + ".ipynb"
        yield notebook if (ROOT / notebook).exists() else source


def _targets(file: File, site: Site) -> list[str]:
    if not file.src_uri.endswith(".md") or file.src_uri.endswith(_CODE_PAGES):
        return []
    return list(linked(file.content_string, site.sources[file.src_uri]))


def _brought(target: str, site: Site) -> Iterator[File]:
    """Yield the files of the site that hold one of the repository, and note its place."""
    path = ROOT / target
    if path.is_dir():
        yield from _folder(path, target, site)
    elif path.suffix == ".md":
        yield _generated(site, target, f"{BROUGHT}/{target}", path.read_text())
    elif path.suffix == ".ipynb":
        yield _copied(site, target)
        name = f"{BROUGHT}/{target.removesuffix('.ipynb')}.md"
        yield _generated(site, target, name, _notebook(path))
    else:
        yield _copied(site, target)
        if path.suffix in _CODE and path.stat().st_size <= _SHOWN_BYTES:
            text = _SOURCE.format(
                name=target, file=path.name, language=_CODE[path.suffix], text=path.read_text()
            )
            yield _generated(site, target, f"{BROUGHT}/{target}.md", text)


def _folder(path: Path, target: str, site: Site) -> Iterator[File]:
    if (path / "README.md").exists():
        readme = f"{target}/README.md"
        if readme not in site.places:
            yield from _brought(readme, site)
        site.places[target] = site.places[readme]
        return
    names = sorted(each.name for each in path.iterdir() if not each.name.startswith(("_", ".")))
    text = f"# `{target}/`\n\n" + "".join(f"- [{name}]({name})\n" for name in names)
    yield _generated(site, f"{target}/README.md", f"{BROUGHT}/{target}/README.md", text)
    site.places[target] = f"{BROUGHT}/{target}/README.md"


def _notebook(path: Path) -> str:
    from nbconvert import MarkdownExporter  # two seconds, and only where there is a notebook

    text, _ = MarkdownExporter().from_filename(str(path))
    heading, _, rest = text.lstrip().partition("\n")
    return f"{heading}\n\n[The notebook itself]({path.name})\n{rest}"


def _generated(site: Site, source: str, place: str, text: str) -> File:
    site.put(source, place)
    level = InclusionLevel.NOT_IN_NAV  # may be in it, and need not
    return File.generated(site.config, place, content=text, inclusion=level)


def _copied(site: Site, source: str) -> File:
    place = f"{BROUGHT}/{source}"
    site.put(source, place)
    path = str(ROOT / source)
    return File.generated(site.config, place, abs_src_path=path, inclusion=InclusionLevel.INCLUDED)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Note the page whose links come next; a README of docs/ lists what lies beside it."""
    markdown = _NOT_RUN.sub(_with_reason, markdown)
    site: Site = config.extra["repository"]
    site.page = page.file.src_uri
    if site.page.startswith(("adr/", BROUGHT)):
        page.meta.setdefault("search", {})["boost"] = (
            0.5  # what to do comes before what was decided
        )
    if page.is_homepage:
        page.meta["hide"] = ["navigation"]  # which would be one line, of this page
    if not site.page.endswith("/README.md") or site.page.startswith(BROUGHT):
        return markdown
    beside = sorted(Path(config.docs_dir, site.page).parent.glob("[!R]*.md"))
    return markdown + "\n" + "".join(f"- [{_title(each)}]({each.name})\n" for each in beside)


def _with_reason(found: re.Match[str]) -> str:
    return _SAID.format(block=found[0], **found.groupdict())


def _title(page: Path) -> str:
    found = _HEADING.search(page.read_text())
    return found[1] if found else page.stem
