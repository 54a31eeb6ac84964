"""One value into a YAML file that people keep, without touching anything else in it.

A file that is read and written again by a YAML library loses its comments, its quotes and its order of lines, and with
them the trust of whoever owns it.  So the text stays as it is: the places of its nodes are looked up, and only the
characters of the new value are put in.
"""

from collections.abc import Sequence
from typing import Final

import yaml

_INDENT: Final = 2


def with_value(text: str, path: Sequence[str], value: str) -> str:
    """Return ``text`` with ``value``, YAML of one line, at ``path``: replaced if it is there, added if it is not.

    What is missing of the path is added in the style around it: in the braces of a mapping in one line, else in lines
    of its own.  The text is one document that ``read_document`` accepts; ValueError if something on the path is no
    mapping.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise ValueError("the document is no mapping")
    node, key = root, root
    for depth, name in enumerate(path):
        found = next(((own, inner) for own, inner in node.value if own.value == name), None)
        if found is None:
            return _added(text, node, path[depth:], value)
        key, inner = found
        if depth == len(path) - 1:
            return text[: inner.start_mark.index] + _after(text, inner) + value + text[_end_of(inner) :]
        if isinstance(inner, yaml.ScalarNode) and inner.tag == "tag:yaml.org,2002:null":
            return _filled(text, node, key, inner, path[depth + 1 :], value)
        if not isinstance(inner, yaml.MappingNode):
            raise ValueError(f"{'.'.join(path[: depth + 1])} is no mapping")
        node = inner
    raise AssertionError("a path has a name")


def _added(text: str, node: yaml.MappingNode, missing: Sequence[str], value: str) -> str:
    if node.flow_style:
        end = node.end_mark.index - 1  # before the brace
        before = text[:end].rstrip()
        separator = " " if before.endswith(",") else ", " if node.value else ""
        return before + separator + _in_one_line(missing, value) + text[end:]
    column = node.value[0][0].start_mark.column
    return _lines_after(text, _end_of(node), column, missing, value)


def _filled(
    text: str, around: yaml.MappingNode, key: yaml.Node, empty: yaml.ScalarNode, missing: Sequence[str], value: str
) -> str:
    """The first entry of a mapping that has none: ``noise:`` or ``noise: null``."""
    start = key.end_mark.index
    colon = text.index(":", start) + 1
    if empty.end_mark.index > empty.start_mark.index:  # a null that is written out
        text = text[:colon] + text[empty.end_mark.index :]
    if around.flow_style:
        return f"{text[:colon]} {{{_in_one_line(missing, value)}}}{text[colon:]}"
    return _lines_after(text, colon, key.start_mark.column + _INDENT, missing, value)


def _lines_after(text: str, index: int, column: int, missing: Sequence[str], value: str) -> str:
    """Insert below the line that holds ``index``, so that a comment at its end stays with it."""
    newline = text.find("\n", index)
    head, tail = (f"{text}\n", "") if newline < 0 else (text[: newline + 1], text[newline + 1 :])
    lines = [f"{' ' * (column + _INDENT * depth)}{name}:" for depth, name in enumerate(missing)]
    lines[-1] += f" {value}"
    return head + "\n".join(lines) + "\n" + tail


def _in_one_line(missing: Sequence[str], value: str) -> str:
    *outer, last = missing
    return "".join(f"{name}: {{" for name in outer) + f"{last}: {value}" + "}" * len(outer)


def _after(text: str, node: yaml.Node) -> str:
    """A blank after the colon, if the value that is replaced stands right at it or nowhere."""
    return " " if text[node.start_mark.index - 1] == ":" else ""


def _end_of(node: yaml.Node) -> int:
    """Where the last character of a node is; the parser says of a block that it ends where the next token begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end_of(last[1] if isinstance(last, tuple) else last)
    if isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}:
        return node.end_mark.index - 1
    return int(node.end_mark.index)
