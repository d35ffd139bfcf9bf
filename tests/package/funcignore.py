"""Which files of a folder are published: by the rules of Core Tools (`func`), and by azd's, which are .gitignore's.

They differ, so .funcignore has to say the same in both. `func azure functionapp publish` reads it so (4.14.0, run):
every pattern starts at the root; `*` is at least one character and stays in one level; `**` is anything, but at least
one character; what begins with a match up to the end of a word matches; a line with `!` wins wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from pathspec import GitIgnoreSpec

# Left out by name, whatever .funcignore says.
FOLDERS_LEFT_OUT = {".git", ".vscode"}
FILES_LEFT_OUT = {".funcignore", ".gitignore", "appsettings.json", "local.settings.json", "project.lock.json"}

Reader = Callable[[str], Callable[[str], bool]]


def by_func(rules: str) -> Callable[[str], bool]:
    """Whether `func` publishes a path, given the text of .funcignore."""
    lines = [line for line in map(str.strip, rules.splitlines()) if line and not line.startswith("#")]
    left_out = _any(line for line in lines if not line.startswith("!"))
    kept = _any(line[1:] for line in lines if line.startswith("!"))

    def publishes(path: str) -> bool:
        parts = PurePosixPath(path).parts
        if FOLDERS_LEFT_OUT & set(parts[:-1]) or parts[-1] in FILES_LEFT_OUT:
            return False
        return bool(kept.match(path)) or not left_out.match(path)

    return publishes


def by_azd(rules: str) -> Callable[[str], bool]:
    """Whether `azd deploy` publishes a path: .funcignore read as a .gitignore."""
    spec = GitIgnoreSpec.from_lines(rules.splitlines())
    return lambda path: not spec.match_file(path)


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    parts = [_expression(pattern.removeprefix("/")) for pattern in patterns]
    return re.compile(rf"(?:{'|'.join(parts)})\b" if parts else r"(?!)", re.ASCII)


def _expression(pattern: str) -> str:
    pieces = re.split(r"(\*\*|\*)", pattern)
    return "".join({"**": ".+", "*": "[^/]+"}.get(piece) or re.escape(piece) for piece in pieces)
