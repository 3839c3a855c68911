"""What the site has beyond docs/*.md: commands, API, decisions, and files of the repository.

A page of docs/ links to recipes, benchmarks and source files as a git host shows them. Here each of
these becomes a page too, and the link leads there.
"""

import ast
import os
import re
from pathlib import Path
from posixpath import normpath, relpath
from typing import Any

import typer
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "latentfoley"
FETCHED = re.compile(r'<(?:script|link|img|audio|iframe)[^>]+(?:src|href)="(https?://[^"]+)')
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]+)")
GROUPS = {
    "": "Model",
    "editing": "Editing",
    "checkpoints": "Checkpoints",
    "data": "Data",
    "training": "Training",
    "evaluation": "Evaluation",
}
"""Sub-packages that have pages, and their titles."""

PUBLIC = """\
# Python API

Names that stay: what `import latentfoley` offers, and the errors it raises. Every other module has
a page of its own below; those change as the code does.

::: latentfoley.loading.load
    options: {skip_local_inventory: true}
::: latentfoley.pipeline.Model
    options: {skip_local_inventory: true, inherited_members: true}
::: latentfoley.request.GenerationRequest
    options: {skip_local_inventory: true, inherited_members: true}
::: latentfoley.editing.request.EditRequest
    options: {skip_local_inventory: true}
::: latentfoley.clip.Clip
    options: {skip_local_inventory: true}
::: latentfoley.errors
    options: {skip_local_inventory: true}
"""


def on_config(config: Any) -> Any:
    """Fill in the parts of the navigation that name a folder."""
    config["nav"] = _filled(config["nav"])
    return config


def _filled(nav: list[Any]) -> list[Any]:
    full = []
    for item in nav:
        if item == "reference/":
            full += ["reference/commands.md", "reference/index.md", *_module_nav()]
        elif isinstance(item, dict):
            ((title, inside),) = item.items()
            if inside == "decisions/":
                pages = sorted((ROOT / "docs/decisions").glob("*.md"))
                inside = [f"decisions/{page.name}" for page in pages]
            full.append({title: _filled(inside) if isinstance(inside, list) else inside})
        else:
            full.append(item)
    return full


def _modules() -> dict[str, list[Path]]:
    """Return the source files with a docstring, by the sub-package they belong to."""
    groups: dict[str, list[Path]] = {group: [] for group in GROUPS}
    for path in sorted(PACKAGE.rglob("*.py")):
        group, *_ = [*path.relative_to(PACKAGE).parent.parts, ""]
        if group in groups and path.stem not in ("__init__", "__main__", "version"):
            groups[group].append(path)
    return groups


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def _module_nav() -> list[dict[str, list[dict[str, str]]]]:
    return [
        {GROUPS[group]: [{_dotted(path): f"reference/{_dotted(path)}.md"} for path in paths]}
        for group, paths in _modules().items()
    ]


@event_priority(100)  # before the plugins that look at every file
def on_files(files: Files, config: Any) -> Files:
    """Add every generated page, and the files that pages link to."""
    app = typer.main.get_command(__import__("latentfoley.cli", fromlist=["app"]).app)
    commands = get_docs_for_click(obj=app, ctx=typer.Context(app), name="latentfoley")
    pages = {
        "reference/commands.md": commands.replace("# `latentfoley`", "# Commands", 1),
        "reference/index.md": PUBLIC + _module_list(),
    }
    for path in (path for paths in _modules().values() for path in paths):
        name = f"latentfoley.{_dotted(path)}"
        pages[f"reference/{_dotted(path)}.md"] = f"# {name}\n\n::: {name}\n" + _NO_HEADING
    for target in _linked([*sorted((ROOT / "docs").rglob("*.md"))]):
        pages[_place(target)] = _page_of(target)
    for place, content in pages.items():
        files.append(File.generated(config, place, content=content))
    return files


_NO_HEADING = "    options: {show_root_heading: false, show_root_toc_entry: false}\n"


def _module_list() -> str:
    lines = ["\n## Every module\n"]
    for group, paths in _modules().items():
        lines.append(f"\n**{GROUPS[group]}**\n\n")
        for path in paths:
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            first = docstring.split("\n\n")[0].replace("\n", " ")
            lines.append(f"- [{_dotted(path)}]({_dotted(path)}.md): {first}\n")
    return "".join(lines)


def _linked(pages: list[Path]) -> list[Path]:
    """Return all that is linked to and is no page, image or other file of docs/."""
    seen: dict[Path, None] = {}
    waiting = list(pages)
    while waiting:
        page = waiting.pop()
        for _, link in LINK.findall(page.read_text(encoding="utf-8")):
            target = Path(os.path.normpath(_base(page) / link))
            if target in seen or not target.exists() or _is_of_the_site(target):
                continue
            seen[target] = None
            if target.suffix == ".md":
                waiting.append(target)
    return list(seen)


def _is_of_the_site(path: Path) -> bool:
    return path.is_file() and path.is_relative_to(ROOT / "docs")


def _base(page: Path) -> Path:
    """Return the folder that the links of a page count from."""
    return page.parent


def _place(path: Path) -> str:
    """Return where a file or folder of the repository stands in the site."""
    if _is_of_the_site(path):
        return path.relative_to(ROOT / "docs").as_posix()
    inside = path.relative_to(ROOT).as_posix()
    if path.suffix in (".md", ".png"):
        return f"repository/{inside}"
    return f"repository/{inside}/index.md" if path.is_dir() else f"repository/{inside}.md"


def _page_of(path: Path) -> str | bytes:
    """Return a page that shows a file or lists a folder."""
    title = path.relative_to(ROOT).as_posix()
    if path.is_dir():
        inside = (item for item in sorted(path.iterdir()) if item.name[0] not in "._")
        return f"# {title}\n\n" + "".join(f"- {_entry(item)}\n" for item in inside)
    if path.suffix == ".png":
        return path.read_bytes()
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    return f"# {title}\n\n~~~~{path.suffix[1:] or 'text'}\n{text}\n~~~~\n"


def _entry(item: Path) -> str:
    """Return a file as it stands in the list of its folder: a page of the site by its title."""
    if not (_is_of_the_site(item) and item.suffix == ".md"):
        return f"`{item.name}`"
    title = item.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    return f"[{title}]({item.name})"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to files of the repository to their pages."""
    here = page.file.src_uri
    if here.startswith("reference/") or page.file.src_uri.endswith((".py.md", ".toml.md")):
        return markdown
    inside = here.removeprefix("repository/")
    source = ROOT / (inside if inside != here else f"docs/{here}")  # a list stands in its folder

    def lead(found: re.Match[str]) -> str:
        target = Path(normpath((_base(source) / found[2]).as_posix()))
        if not target.exists():
            return found[0]
        return found[1] + relpath(_place(target), Path(here).parent.as_posix() or ".")

    return LINK.sub(lead, markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuse a page that would fetch something from elsewhere when it is read."""
    if found := FETCHED.search(output):
        raise PluginError(f"{page.file.src_uri} fetches {found[1]}")
    return output
