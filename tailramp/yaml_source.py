"""YAML text → plain data that remembers the line of every field.

A validation error is only useful if it says where; PyYAML's composed nodes know, and are turned into data here so that
nothing is constructed that the text did not spell out.  Aliases are refused (a configuration of this size needs none,
and they are how a small file becomes a huge one), and so are duplicate keys, of which YAML readers silently keep one,
and numbers that YAML reads otherwise than people do: 010 is eight to it, and 1:30 is ninety.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from tailramp.errors import InvalidFile, Problem

MAX_BYTES = 100_000
MAX_DEPTH = 30
MAX_INTEGER = 2**53  # beyond it JSON readers disagree
_LONGEST_NAME = 80
_CONFIDENTIAL: Final = re.compile(
    r"secret|password|passwd|(?<!first)(?<!output)token|salt$|auth|api_?key|headers", re.IGNORECASE
)
_PASSWORD_IN_URL: Final = re.compile(r"://[^/\s]*@")

_KINDS: Final[dict[type[yaml.Node], set[str]]] = {
    yaml.MappingNode: {"map"},
    yaml.SequenceNode: {"seq"},
    yaml.ScalarNode: {"str", "int", "float", "bool", "null"},
}
_AS_PEOPLE_READ_IT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|[-+]?\.[0-9]+")
_NO_COLON: Final = "could not find expected ':'"
_UNCLOSED_QUOTE: Final = "Close the quote that begins here or above"
_SYNTAX: Final = {
    "character '\\t'": "Indent with blanks: YAML accepts no tabs",
    "mapping values are not allowed": "Put a text that holds a colon in quotes, and indent fields of one group alike",
    "end of stream": _UNCLOSED_QUOTE,
    "document separator": _UNCLOSED_QUOTE,
    "but found '<scalar>'": _UNCLOSED_QUOTE,
    "expected <block end>": "Indent the fields of one group alike, by blanks",
    "expected the node content": "Close the bracket that is open here, and put text that starts with a mark in quotes",
    "expected ',' or": "Close the bracket that is open here",
    _NO_COLON: "Write a field as name: value",
    "found another document": "Keep one document: remove the line --- and what follows it",
    "unknown escape": "Use single quotes, in which a backslash is a backslash",
    "that cannot start any token": "Put a text that starts with such a mark in quotes",
    "undefined tag handle": "Remove the tag, which starts with !",
    "special characters are not allowed": "Write plain text: there is a character here that cannot be seen",
}
_UNUSABLE = frozenset({"\0", *map(chr, range(0xD800, 0xE000))})

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """``data`` as plain dicts, lists and scalars; ``lines`` maps a location to the line of its key, from 1, and
    ``written`` that of a scalar to its text with its quotes.
    """

    file: Path | None
    data: Any
    lines: dict[Location, int] = field(default_factory=dict)
    written: dict[Location, str] = field(default_factory=dict)

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

    def refuse(reason: str, mend: str, line: int | None = None) -> InvalidFile:
        return InvalidFile([Problem(field="(file)", reason=reason, mend=mend, file=file, line=line)])

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
        if error.problem == _NO_COLON:  # noticed in the line after the one that lacks it
            mark = error.context_mark
        reason = f"not valid YAML: {error.problem or error.context}"
        raise refuse(reason, _syntax_mend(str(error)), mark.line + 1 if mark else None) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = f"not valid YAML: {str(error).splitlines()[0]}"
        line = text.count("\n", 0, error.position) + 1 if isinstance(error, yaml.reader.ReaderError) else None
        raise refuse(reason, _syntax_mend(str(error)), line) from None
    if node is None:
        raise refuse("the file is empty", "`tailramp init` writes files to start from")
    reading = _Reading(text, file)
    data = reading.construct(node, ())
    if reading.problems:
        raise InvalidFile(reading.problems)
    return Document(file, data, reading.lines, reading.written)


def _syntax_mend(error: str) -> str:
    return next((mend for words, mend in _SYNTAX.items() if words in error), "Write plain UTF-8 YAML")


@dataclass
class _Reading:
    """One walk through the nodes of a text; every problem is collected."""

    text: str
    file: Path | None
    lines: dict[Location, int] = field(default_factory=dict)
    written: dict[Location, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def construct(self, node: yaml.Node, at: Location) -> Any:
        self.lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            self.written[at] = self.text[node.start_mark.index : node.end_mark.index]
        tag = node.tag.removeprefix("tag:yaml.org,2002:")
        if tag not in _KINDS[type(node)]:
            self._refuse_kind(node, at, tag)
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, at, tag)
        return [self.construct(item, (*at, index)) for index, item in enumerate(node.value)]

    def _refuse(self, node: yaml.Node, at: Location, reason: str, mend: str, *, quoted: bool = True) -> None:
        value = quotable(at, self.written.get(at)) if quoted else None
        self.problems.append(Problem(dotted(at), reason, mend, value, self.file, node.start_mark.line + 1))

    def _refuse_kind(self, node: yaml.Node, at: Location, tag: str) -> None:
        reason = "a value of a kind that YAML files here do not use"
        if tag == "timestamp" and not self.written[at].startswith("!"):
            self._refuse(node, at, "YAML reads this as a date", f'Put it in quotes: "{self.written[at]}"')
        else:
            self._refuse(node, at, reason, "Use text, numbers, true or false, without a tag; put text in quotes")

    def _mapping(self, node: yaml.MappingNode, at: Location) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
            if key_node.tag == "tag:yaml.org,2002:merge":
                self._refuse(key_node, at, "a merge key (<<) is not accepted", "Write the fields out")
            elif not key or not _UNUSABLE.isdisjoint(key):
                self._refuse(key_node, at, "a key is not text", "Write a plain name before the colon")
            elif key in mapping:
                mend = f"Keep one of them; the first is in line {self.lines[(*at, key)]}"
                self._refuse(key_node, (*at, key), "stands twice", mend, quoted=False)
            else:
                self.lines[(*at, key)] = key_node.start_mark.line + 1
                mapping[key] = self.construct(value_node, (*at, key))
        return mapping

    def _scalar(self, node: yaml.ScalarNode, at: Location, tag: str) -> Any:
        try:
            value = yaml.constructor.SafeConstructor().construct_object(node)
        except (yaml.YAMLError, ValueError, LookupError):
            self._refuse_kind(node, at, tag)
            return None
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            mend = "Write a smaller number, or put text in quotes"
            self._refuse(node, at, "a number that large means nothing here", mend)
        elif isinstance(value, float) and not math.isfinite(value):
            self._refuse(node, at, "this is no number that anything can be compared with", "Write a plain number")
        elif tag in {"int", "float"} and not _AS_PEOPLE_READ_IT.fullmatch(str(node.value)):
            mend = f'Write {value} if that is meant, or put it in quotes: "{node.value}"'
            self._refuse(node, at, f"YAML reads this as {value}", mend)
        elif isinstance(value, str) and not _UNUSABLE.isdisjoint(value):
            self._refuse(node, at, "holds a character that no text here can hold", "Write the text without escapes")
        else:
            return value
        return None


def quotable(location: Location, written: str | None) -> str | None:
    """What a message may quote of the text at ``location``: one short line, and nothing where a secret may stand."""
    if written is None or any(_CONFIDENTIAL.search(str(part)) for part in location):
        return None
    line = " ".join(written.split())
    if _PASSWORD_IN_URL.search(line):
        return None
    return line if len(line) <= _LONGEST_NAME else f"{line[: _LONGEST_NAME - 3]}..."


def dotted(location: Location) -> str:
    """``("canaries", 0, "model")`` → ``canaries[0].model``."""
    text = ""
    for part in location:
        name = str(part) if len(str(part)) <= _LONGEST_NAME else f"{str(part)[:_LONGEST_NAME]}..."
        text += f"[{name}]" if isinstance(part, int) else f".{name}" if text else name
    return text or "(file)"
