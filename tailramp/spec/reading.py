"""A file's text, or in words why there is none: wrong encodings, folders, loops of links, files without an end."""

import errno
from pathlib import Path
from typing import Final

from tailramp.errors import InvalidFile, Problem
from tailramp.yaml_source import MAX_BYTES

_BYTE_ORDER_MARKS: Final = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_WHY: Final = {
    errno.ENOENT: ("there is no such file", "Check the path; `tailramp init` writes files to start from"),
    errno.ENOTDIR: ("there is no such file", "Check the path; `tailramp init` writes files to start from"),
    errno.EISDIR: ("is a folder", "Name the file in it, such as deploy/canary.yaml"),
    errno.ELOOP: ("is a symbolic link that leads back to itself", "Let the link point to a file"),
    errno.EACCES: ("may not be read by this user", "Give this user the right to read it"),
    errno.ENAMETOOLONG: ("has a name that is too long", "Check the path"),
}


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.  Reads no more than a file may hold.

    Raises InvalidFile.
    """

    def refuse(reason: str, mend: str, line: int | None = None) -> InvalidFile:
        return InvalidFile([Problem("(file)", reason, mend, file=path, line=line)])

    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        why = (f"cannot be read: {error.strerror}", "Check path and permissions")
        raise refuse(*_WHY.get(error.errno or 0, why)) from None
    except ValueError:  # a path with a NUL in it
        raise refuse("there is no such file", "Check the path") from None
    if len(data) > MAX_BYTES:
        raise refuse(f"the file is larger than {MAX_BYTES} bytes", "Name one of tailramp's two files: they are small")
    if (encoding := _BYTE_ORDER_MARKS.get(data[:2])) is not None:
        raise refuse(f"is written in {encoding}", "Save the file as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise refuse(f"not UTF-8 at byte {error.start}", _other_encoding(data), line) from None


def _other_encoding(data: bytes) -> str:
    try:
        guess = data.decode("gb18030")
    except UnicodeDecodeError:
        return "Save the file as UTF-8"
    chinese = any("\u4e00" <= character <= "\u9fff" for character in guess)
    return "Save the file as UTF-8; it may be GBK" if chinese else "Save the file as UTF-8"
