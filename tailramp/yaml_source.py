"""YAML text → plain data that remembers the line of every field.

A validation error is only useful if it says where; PyYAML's composed nodes know, and are turned into data here so that
nothing is constructed that the text did not spell out.  Aliases are refused (a configuration of this size needs none,
and they are how a small file becomes a huge one), and so are duplicate keys, of which YAML readers silently keep one.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tailramp.errors import InvalidFile, Problem

MAX_BYTES = 100_000
MAX_DEPTH = 30
MAX_INTEGER = 2**53  # beyond it JSON readers disagree

_KINDS: dict[type[yaml.Node], set[str]] = {
    yaml.MappingNode: {"map"},
    yaml.SequenceNode: {"seq"},
    yaml.ScalarNode: {"str", "int", "float", "bool", "null"},
}
_FOREIGN = (
    "a value of a kind that YAML files here do not use",
    "Use text, numbers, true or false; put text in quotes",
)
_UNUSABLE = frozenset({"\0", *map(chr, range(0xD800, 0xE000))})

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """``data`` as plain dicts, lists and scalars; ``lines`` maps a location to the line of its key, from 1."""

    file: Path | None
    data: Any
    lines: dict[Location, int] = field(default_factory=dict)

    def line_of(self, location: Location) -> int | None:
        """The line of the field, or of the nearest field around it that the text contains."""
        for length in range(len(location), -1, -1):
            if location[:length] in self.lines:
                return self.lines[location[:length]]
        return None

    def value_of(self, location: Location) -> Any:
        """What the text says at ``location``, or None."""
        value = self.data
        for part in location:
            if isinstance(value, dict) and part in value:
                value = value[part]
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value


def read_document(text: str, file: Path | None = None) -> Document:
    """Parse one YAML document.  Raises InvalidFile naming the line for whatever is not plain, small YAML."""

    def refuse(reason: str, mend: str, line: int | None = None, name: str = "(file)") -> InvalidFile:
        return InvalidFile([Problem(field=name, reason=reason, mend=mend, file=file, line=line)])

    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise refuse(f"the file is larger than {MAX_BYTES} bytes", "This is not one of tailramp's two files")
    try:
        loader = yaml.SafeLoader(text)
        try:
            depth = 0
            for event in yaml.parse(text, Loader=yaml.SafeLoader):
                line = event.start_mark.line + 1 if event.start_mark else None
                if isinstance(event, yaml.AliasEvent):
                    raise refuse("an alias (*) is not accepted", "Write the value out where it is needed", line)
                depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
                if depth > MAX_DEPTH:  # seen here, because a whole file of brackets takes minutes to parse
                    raise refuse("nested too deeply", "Neither file needs that", line)
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = f"not valid YAML: {error.problem or error.context}"
        raise refuse(reason, "Mend the line", mark.line + 1 if mark else None) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise refuse(f"not valid YAML: {str(error).splitlines()[0]}", "Write plain UTF-8 YAML") from None
    if node is None:
        raise refuse("the file is empty", "`tailramp validate --help` shows a file to start from")
    problems: list[Problem] = []
    lines: dict[Location, int] = {}
    data = _construct(node, (), lines, problems, file)
    if problems:
        raise InvalidFile(problems)
    return Document(file, data, lines)


def _construct(
    node: yaml.Node, at: Location, lines: dict[Location, int], problems: list[Problem], file: Path | None
) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(at, line)
    name = dotted(at)
    if node.tag.removeprefix("tag:yaml.org,2002:") not in _KINDS[type(node)]:
        problems.append(Problem(name, *_FOREIGN, file=file, line=line))
        return None
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key_line = key_node.start_mark.line + 1
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or not _UNUSABLE.isdisjoint(key):
                problems.append(Problem(name, "a key is not text", "Write a plain key", file=file, line=key_line))
                continue
            if key in mapping:
                mend = f"Keep one of them; the first is in line {lines[(*at, key)]}"
                problems.append(Problem(dotted((*at, key)), "stands twice", mend, file=file, line=key_line))
                continue
            lines[(*at, key)] = key_line
            mapping[key] = _construct(value_node, (*at, key), lines, problems, file)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*at, index), lines, problems, file) for index, item in enumerate(node.value)]
    try:
        value = yaml.constructor.SafeConstructor().construct_object(node)
    except (yaml.YAMLError, ValueError, LookupError):
        problems.append(Problem(name, *_FOREIGN, file=file, line=line))
        return None
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        problems.append(Problem(name, "a number that large means nothing here", "Check it", file=file, line=line))
        return None
    if isinstance(value, str) and not _UNUSABLE.isdisjoint(value):
        mend = "Write the text without escapes"
        problems.append(Problem(name, "holds a character that no text here can hold", mend, file=file, line=line))
        return None
    return value


def dotted(location: Location) -> str:
    """``("canaries", 0, "model")`` → ``canaries[0].model``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "(file)"
