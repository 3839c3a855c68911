"""The size and shape of the code, of one checkout or of two side by side.

    git worktree add ../before COMMIT
    python benchmarks/structure.py . --before ../before

Prints a table and writes `benchmarks/structure.json`. The reading path is the one that each
checkout's README lists.
"""

import argparse
import ast
import json
import re
import subprocess
from pathlib import Path
from typing import Any

OUT = Path(__file__).with_suffix(".json")
LONG_FILE, LONG_FUNCTION = 400, 60


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def n_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the parameters that a caller gives: all but self and cls."""
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    return len([n for n in names if n not in ("self", "cls")]) + len(function.args.kwonlyargs)


def public_names(trees: dict[Path, ast.Module]) -> set[str]:
    """Return the names of classes and functions that do not begin with an underscore."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {
        node.name
        for tree in trees.values()
        for node in tree.body
        if isinstance(node, kinds) and not node.name.startswith("_")
    }


def measure(checkout: Path) -> dict[str, Any]:
    """Return the figures of a checkout."""
    package = checkout / "src" / "latentfoley"
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py"))}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    lines = {path: text.count("\n") for path, text in texts.items()}
    outside = [t for path, t in trees.items() if "cli" not in path.relative_to(package).parts]
    widest = max((n_parameters(f), f.name) for tree in outside for f in functions(tree))
    long = [
        f"{path.relative_to(package)}:{f.name}"
        for path, tree in trees.items()
        for f in functions(tree)
        if (f.end_lineno or 0) - f.lineno + 1 > LONG_FUNCTION
    ]
    readme = (checkout / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \d+ \| \[`[\w./]+`\]\(src/latentfoley/([\w./]+)\)", readme, re.M)
    commit = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    return {
        "commit": subprocess.run(commit, capture_output=True, text=True).stdout.strip(),
        "files": len(texts),
        "lines": sum(lines.values()),
        "files_in_evaluation": sum("evaluation" in path.parts for path in texts),
        "lines_of_the_training_report": sum(n for p, n in lines.items() if "report" in p.parts),
        "listed_path_files": len(listed),
        "listed_path_lines": sum(lines[package / name] for name in listed),
        f"files_over_{LONG_FILE}": [
            str(p.relative_to(package)) for p, n in lines.items() if n > LONG_FILE
        ],
        f"functions_over_{LONG_FUNCTION}": long,
        "widest_signature_outside_the_cli": f"{widest[1]}: {widest[0]}",
        "public_names": len(public_names(trees)),
    }


def compare(before: Path, after: Path) -> dict[str, int]:
    """Return how many public names one checkout has and the other has not."""
    names = []
    for checkout in (before, after):
        paths = (checkout / "src" / "latentfoley").rglob("*.py")
        names.append(public_names({p: ast.parse(p.read_text(encoding="utf-8")) for p in paths}))
    return {"public_names_gone": len(names[0] - names[1]), "new": len(names[1] - names[0])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkout", type=Path, nargs="?", default=Path())
    parser.add_argument("--before", type=Path, help="another checkout to stand beside it")
    arguments = parser.parse_args()
    report: dict[str, Any] = {"after": measure(arguments.checkout)}
    if arguments.before:
        report = {"before": measure(arguments.before), **report}
        report["changed"] = compare(arguments.before, arguments.checkout)
    for key in report["after"]:
        print(f"{key:34}", *(report[side][key] for side in ("before", "after") if side in report))
    print(*(f"{key} {value}" for key, value in report.get("changed", {}).items()))
    OUT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
