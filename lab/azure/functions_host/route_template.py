"""ASP.NET route templates as the Functions host reads them: `drops/{drop_id:guid}/orders/{order_id?}`.

Source: "Routing in ASP.NET Core", route templates.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.azure.functions_host.route_constraint import Constraint, RouteConstraintError, make_constraint

NAME = re.compile(r"(?P<stars>\*{0,2})(?P<name>[^:=?*/{}]+)")
CONSTRAINT = re.compile(r":(?P<name>\w+)")


class RouteTemplateError(ValueError):
    """The template cannot be read; the message says why."""


@dataclass(frozen=True)
class Parameter:
    """One `{...}` of a template."""

    name: str
    catch_all: bool = False
    optional: bool = False
    default: str | None = None
    constraints: tuple[Constraint, ...] = ()

    @property
    def omittable(self) -> bool:
        """True if the path may end before it."""
        return self.catch_all or self.optional or self.default is not None

    def allows(self, value: str) -> bool:
        return all(constraint(value) for constraint in self.constraints)


@dataclass(frozen=True)
class Segment:
    """What stands between two slashes: a literal, one parameter, or both mixed (`patterns`, to be tried in turn)."""

    parameters: tuple[Parameter, ...] = ()
    literal: str = ""
    patterns: tuple[re.Pattern[str], ...] = ()

    @property
    def catch_all(self) -> Parameter | None:
        """The parameter that takes the rest of the path, if this is one."""
        return next((parameter for parameter in self.parameters if parameter.catch_all), None)

    @property
    def omittable(self) -> bool:
        """True if the path may end before it."""
        return not self.patterns and bool(self.parameters) and self.parameters[0].omittable

    def match(self, text: str) -> dict[str, str] | None:
        """The values of its parameters in `text`, None if it does not fit; an empty text fits nothing."""
        for pattern in self.patterns:
            if found := pattern.fullmatch(text):
                return {p.name: value for p, value in zip(self.parameters, found.groups(), strict=False)}
        if self.patterns or not text:
            return None
        if self.parameters:
            return {self.parameters[0].name: text}
        return {} if text.lower() == self.literal else None


@dataclass(frozen=True)
class RouteTemplate:
    """A parsed template."""

    segments: tuple[Segment, ...]

    @classmethod
    def parse(cls, template: str) -> RouteTemplate:
        """Read a template. Raises RouteTemplateError."""
        parts = [list(tokens(part)) for part in split_segments(without_start(template).removesuffix("/"))]
        segments = tuple(make_segment(part) for part in parts)
        names = [parameter.name.lower() for segment in segments for parameter in segment.parameters]
        if len(names) != len(set(names)):
            raise RouteTemplateError("a parameter stands twice in the route")
        if any(segment.catch_all for segment in segments[:-1]):
            raise RouteTemplateError("a catch-all parameter must come last in the route")
        return cls(segments)

    def match(self, path: Sequence[str], end: str = "") -> dict[str, str] | None:
        """The route values if the path's segments fit, else None. What is left out is absent or has its default.

        `end`: the path's trailing slash, which only a catch-all sees.
        """
        values: dict[str, str] = {}
        taken = 0
        for segment in self.segments[: len(path)]:
            if rest := segment.catch_all:
                values[rest.name] = "/".join(path[taken:]) + end
                taken = len(path)
                break
            found = segment.match(path[taken])
            if found is None:
                return None
            values.update(found)
            taken += 1
        if taken < len(path) or not all(segment.omittable for segment in self.segments[len(path) :]):
            return None
        return self._checked(values)

    def _checked(self, values: dict[str, str]) -> dict[str, str] | None:
        for segment in self.segments:
            for parameter in segment.parameters:
                if parameter.default is not None:
                    values.setdefault(parameter.name, parameter.default)
                if parameter.name in values and not parameter.allows(values[parameter.name]):
                    return None
        return values


def without_start(template: str) -> str:
    """A template without the `/` or `~/` that it may begin with. Raises RouteTemplateError."""
    if template.startswith("~") and not template.startswith("~/"):
        raise RouteTemplateError("a route may not start with '~' without a '/' behind it")
    return template.removeprefix("~").removeprefix("/")


def make_segment(parts: list[str | Parameter]) -> Segment:
    """A segment of the parts between two slashes. Raises RouteTemplateError."""
    parameters = tuple(part for part in parts if isinstance(part, Parameter))
    if not parameters:
        return Segment(literal="".join(str(part) for part in parts).lower())
    if len(parts) == 1:
        return Segment(parameters=parameters)
    last = parts[-1]
    tail = 2 if isinstance(last, Parameter) and last.optional and str(parts[-2]).endswith(".") else 0
    if any(parameter.omittable for parameter in parameters[: -1 if tail else None]):
        raise RouteTemplateError("a parameter that may be left out must stand alone, or last behind a dot")
    if any(isinstance(a, Parameter) and isinstance(b, Parameter) for a, b in itertools.pairwise(parts)):
        raise RouteTemplateError("two parameters need a literal between them")
    patterns = [mixed(parts)]
    if tail:
        patterns.append(mixed([*parts[:-2], str(parts[-2])[:-1]], r"(?<!\.)"))
    return Segment(parameters=parameters, patterns=tuple(patterns))


def mixed(parts: Sequence[str | Parameter], end: str = "") -> re.Pattern[str]:
    """What matches these literals and parameters, and at its end the pattern `end`."""
    pattern = "".join("(.+)" if isinstance(part, Parameter) else re.escape(part) for part in parts)
    return re.compile(pattern + end, re.IGNORECASE | re.DOTALL)


def split_segments(template: str) -> list[str]:
    """A template split at the slashes outside braces. Raises RouteTemplateError for an empty segment."""
    if not template:
        return []
    segments, depth = [""], 0
    for character in template:
        depth += (character == "{") - (character == "}")
        if character == "/" and depth == 0:
            segments.append("")
        else:
            segments[-1] += character
    if "" in segments:
        raise RouteTemplateError("the route has an empty segment ('//')")
    return segments


def tokens(segment: str) -> Iterator[str | Parameter]:
    """The literals and parameters of a segment, in order; doubled braces stand for themselves."""
    rest = segment
    while rest:
        if rest[0] == "{" and not rest.startswith("{{"):
            end = closing_brace(rest)
            yield parse_parameter(rest[1:end])
            rest = rest[end + 1 :]
            continue
        found = re.match(r"(?:[^{}]|\{\{|\}\})+", rest)
        if found is None:
            raise RouteTemplateError(f"a brace is not closed or not opened in {segment!r}")
        if "?" in found[0]:
            raise RouteTemplateError("a literal may not hold a question mark")
        yield found[0].replace("{{", "{").replace("}}", "}")
        rest = rest[found.end() :]


def closing_brace(text: str) -> int:
    """Where the brace that opens `text` closes; doubled ones inside stand for themselves. Raises RouteTemplateError."""
    index = 1
    while index < len(text):
        if text[index : index + 2] in ("{{", "}}"):
            index += 2
        elif text[index] == "}":
            return index
        else:
            index += 1
    raise RouteTemplateError(f"a brace is not closed in {text!r}")


def parse_parameter(content: str) -> Parameter:
    """What stands between braces: `*name:constraint(argument)=default` or `name?`. Raises RouteTemplateError."""
    found = NAME.match(content)
    if found is None:
        raise RouteTemplateError(f"{{{content}}} has no parameter name")
    rest, constraints = content[found.end() :], []
    while rest.startswith(":"):
        constraint, rest = parse_constraint(rest)
        constraints.append(constraint)
    if rest not in ("", "?") and not rest.startswith("="):
        raise RouteTemplateError(f"{{{content}}} cannot be read after {content[: len(content) - len(rest)]!r}")
    if rest.endswith("?") and (found["stars"] or rest != "?"):
        raise RouteTemplateError("an optional parameter cannot be a catch-all or have a default")
    return Parameter(
        name=found["name"],
        catch_all=bool(found["stars"]),
        optional=rest == "?",
        default=rest[1:] if rest.startswith("=") else None,
        constraints=tuple(constraints),
    )


def parse_constraint(text: str) -> tuple[Constraint, str]:
    """The constraint at the start of `text` (`:name(argument)`) and what follows. Raises RouteTemplateError."""
    found = CONSTRAINT.match(text)
    if found is None:
        raise RouteTemplateError(f"{text!r} is not a route constraint")
    rest, argument = text[found.end() :], None
    if rest.startswith("("):
        end = closing_parenthesis(rest)
        argument, rest = rest[1:end].replace("{{", "{").replace("}}", "}"), rest[end + 1 :]
    try:
        return make_constraint(found["name"], argument), rest
    except RouteConstraintError as error:
        raise RouteTemplateError(str(error)) from error


def closing_parenthesis(text: str) -> int:
    """Where the parenthesis that opens `text` closes. Raises RouteTemplateError."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return index
    raise RouteTemplateError(f"a parenthesis is not closed in {text!r}")
