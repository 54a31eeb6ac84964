"""What was answered at many grid times, by series: a range of readings that can be counted in one go.

Most ticks of a day bring the same series as the tick before, with larger values. Cut into readings, each of them is
looked at value by value; as columns, a whole stretch of them is counted by a few operations of numpy. `Readings` is
both: a sequence of readings, each made when it is asked for, and the columns behind them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, overload

from tailramp.evidence.counts import LARGEST_EXACT
from tailramp.evidence.reading import Answer, Labels, Reading, Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Column:
    """One series: a value at every time, None where it was not there."""

    labels: Labels
    values: Sequence[float | None]


class Table(NamedTuple):
    """The series that an answer had at several times in a row, and their values, shape (times, series)."""

    labels: list[Labels]
    values: "NDArray[np.float64]"


class Query:
    """The columns that one query returned, over all times."""

    def __init__(self, columns: Sequence[Column], many: int) -> None:
        """`many`: number of times, as many as each column has values."""
        self._columns = tuple(columns)
        self._many = many

    def answer(self, place: int) -> Answer:
        """Return what was answered at one time."""
        found = ((column.labels, column.values[place]) for column in self._columns)
        return Answer(tuple(Sample(labels, value) for labels, value in found if value is not None))

    def plain_until(self, place: int) -> int:
        """Return the end of the times from `place` on at which there are the series of the time before, all of them
        with whole numbers that can be counters; `place` itself if it is not such a time.
        """
        return next((int(one) for one in self._breaks[self._first_break_from(place) :]), self._many)

    def table(self, first: int, end: int) -> Table:
        """The times from `first` to before `end`, at which the series are the same."""
        there = self._there[first]
        labels = [column.labels for column, here in zip(self._columns, there, strict=True) if here]
        return Table(labels, self._values[first:end, there])

    def _first_break_from(self, place: int) -> int:
        return int(self._breaks.searchsorted(place))

    @cached_property
    def _values(self) -> "NDArray[np.float64]":
        import numpy as np  # only who counts many times at once waits for it

        found = np.empty((self._many, len(self._columns)))
        for place, column in enumerate(self._columns):
            found[:, place] = column.values
        return found

    @cached_property
    def _there(self) -> "NDArray[np.bool_]":
        import numpy as np

        found = np.ones((self._many, len(self._columns)), dtype=bool)
        for place, column in enumerate(self._columns):
            if None in column.values:
                found[:, place] = [value is not None for value in column.values]
        return found

    @cached_property
    def _breaks(self) -> "NDArray[np.intp]":
        """The times that are not plain, ascending."""
        import numpy as np

        there, values = self._there, self._values
        with np.errstate(invalid="ignore"):
            whole = (values >= 0.0) & (values <= LARGEST_EXACT) & (np.floor(values) == values)
        plain = (whole | ~there).all(axis=1)
        plain[1:] &= (there[1:] == there[:-1]).all(axis=1)
        plain[:1] = False
        return np.flatnonzero(~plain)


class AnswersAt(Mapping[str, Answer]):
    """The answers of one of many times, each made when it is asked for."""

    def __init__(self, readings: "Readings", place: int) -> None:
        self.readings = readings
        self.place = place
        self._known: dict[str, Answer] = {}

    def __getitem__(self, query: str) -> Answer:
        if query not in self._known:
            found = self.readings.queries[query]
            self._known[query] = Answer(fault=found) if isinstance(found, str) else found.answer(self.place)
        return self._known[query]

    def __contains__(self, query: object) -> bool:
        return query in self.readings.queries

    def __iter__(self) -> Iterator[str]:
        return iter(self.readings.queries)

    def __len__(self) -> int:
        return len(self.readings.queries)


class Readings(Sequence[Reading]):
    """The readings of `times`, unix seconds, oldest first."""

    def __init__(self, times: range, columns: Mapping[str, Sequence[Column] | str]) -> None:
        """`columns` by the text of the query; a text instead of them says why it was not answered."""
        self.times = times
        self.queries = {
            query: found if isinstance(found, str) else Query(found, len(times)) for query, found in columns.items()
        }

    def __len__(self) -> int:
        return len(self.times)

    @overload
    def __getitem__(self, place: int) -> Reading: ...

    @overload
    def __getitem__(self, place: slice) -> list[Reading]: ...

    def __getitem__(self, place: int | slice) -> Reading | list[Reading]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        at = self.times[place]
        return Reading(at, AnswersAt(self, place % len(self)))

    def plain_until(self, queries: Sequence[str], place: int) -> int:
        """See `Query.plain_until`; of all the queries together."""
        end = len(self)
        for query in queries:
            found = self.queries.get(query, "it was not asked")
            end = min(end, place if isinstance(found, str) else found.plain_until(place))
        return end

    def table(self, query: str, first: int, end: int) -> Table:
        """See `Query.table`."""
        found = self.queries[query]
        if isinstance(found, str):
            raise AssertionError(f"nothing was answered: {found}")
        return found.table(first, end)
