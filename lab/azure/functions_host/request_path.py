"""The path of a request as Kestrel reads it: unescaped where that is UTF-8, without dot segments, escaped again for
`req.url`. Source: PathNormalizer and UrlDecoder of ASP.NET Core, and what was measured."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
KEPT = "!$&'()*+,;=:@/%"  # PathString leaves these, and a percent sign that starts an escape
LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def target_path(target: str) -> str:
    """The path of a request target in origin or absolute form, still escaped."""
    return (urlsplit(target).path or "/") if target.lower().startswith(("http://", "https://")) else target


def normalize(path: str) -> str:
    """A path as it came over the wire, unescaped and without `.` and `..`."""
    plain = unescape(path, keep="/")
    return without_dots(plain) if "/." in plain else plain


def unescape(text: str, keep: str = "") -> str:
    """Decode percent escapes, except for the characters in `keep` and for invalid UTF-8."""
    return ESCAPES.sub(lambda found: unescape_run(found[0], keep), text) if "%" in text else text


def unescape_run(run: str, keep: str) -> str:
    """Decode a text that consists of escapes only."""
    text, index = "", 0
    while index < len(run):
        for size in (3, 6, 9, 12):
            part = run[index : index + size]
            character = decoded(part)
            if character and character not in keep and len(part) == size:
                text, index = text + character, index + size
                break
        else:
            text, index = text + run[index : index + 3], index + 3
    return text


def decoded(escapes: str) -> str:
    """The one character that these escapes stand for, empty if none."""
    try:
        character = bytes.fromhex(escapes.replace("%", "")).decode()
    except ValueError:
        return ""
    return character if len(character) == 1 else ""


def without_dots(path: str) -> str:
    """Remove `.` and `..` segments (RFC 3986, 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def escape(path: str) -> str:
    """A path as PathString writes it into a URL."""
    return LONE_PERCENT.sub("%25", quote(path, safe=KEPT))
