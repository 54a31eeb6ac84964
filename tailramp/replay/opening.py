"""From a file to its counts, whatever it is: packed or not, in a wrong encoding, a folder, without an end."""

import gzip
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tailramp.errors import InvalidFile, Problem
from tailramp.replay.range_json import RangeAnswers, read_range_json
from tailramp.replay.recording import Recorded, read_recording
from tailramp.replay.windows import CsvCounts, read_csv

_MOST_BYTES = 4 << 30
_LONGEST_LINE = 256 << 20
_PACKED = b"\x1f\x8b"


def open_counts(path: Path) -> CsvCounts | Recorded | RangeAnswers:
    """What the file holds, by how it begins: a recording, Prometheus' answers, or else CSV.  Raises InvalidFile."""
    lines = lines_of(path)
    first = next(lines, "")
    everything = chain([first], lines)
    if not first.lstrip().startswith(("{", "[")):
        return read_csv(everything if first else iter(()), path)
    if '"tailramp":"recording"' in first[:200].replace(" ", ""):
        return read_recording(everything, path)
    return read_range_json(everything, path)


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a text file in UTF-8, packed by gzip or not.  Raises InvalidFile."""

    def refuse(reason: str, mend: str, line: int | None = None) -> InvalidFile:
        return InvalidFile([Problem("(file)", reason, mend, file=path, line=line)])

    number = read = 0
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == _PACKED
            plain.seek(0)
            file = gzip.GzipFile(fileobj=plain) if packed else plain
            while line := file.readline(_LONGEST_LINE):
                number += 1
                read += len(line)
                if read > _MOST_BYTES or len(line) >= _LONGEST_LINE:
                    raise refuse("the file is too large", "Split it by time", number)
                yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise refuse(f"not UTF-8 at byte {error.start} of this line", "Save the file as UTF-8", number) from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise refuse("the packed file is cut off or damaged", "Copy or record it again", number or None) from None
    except FileNotFoundError:
        raise refuse("there is no such file", "Check the path") from None
    except IsADirectoryError:
        raise refuse("is a folder", "Name the file in it") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "the path is none"
        raise refuse(f"cannot be read: {why}", "Check path and permissions") from None
