"""Tables of plain text: aligned by the columns that characters take, which for Chinese are two each."""

from collections.abc import Sequence
from typing import Final

_GAP: Final = "  "


def table(rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset(), widest: int = 60) -> list[str]:
    """One line per row, the columns aligned; those in ``right`` to the right.  A cell is cut at ``widest`` columns."""
    from rich.cells import cell_len, set_cell_size

    cut = [[c if cell_len(c) <= widest else f"{set_cell_size(c, widest - 1)}…" for c in row] for row in rows]
    widths = [max(cell_len(row[column]) for row in cut) for column in range(len(cut[0]))] if cut else []
    lines = []
    for row in cut:
        cells = [
            " " * (width - cell_len(cell)) + cell if column in right else cell + " " * (width - cell_len(cell))
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(_GAP.join(cells).rstrip())
    return lines


def facts(rows: Sequence[tuple[str, str]]) -> list[str]:
    """``label  text`` for each row that has a text, the texts below each other."""
    return table([row for row in rows if row[1]], widest=10_000)
