"""PromQL with a place for the label matchers of a slot.

A check is written once and asked of every slot: `{match}` becomes the matchers of the slot, whether it stands alone
(`x{match}`) or inside a selector's braces (`x{{match},code="5"}`). Growth is counted here and not by PromQL, so a
template that estimates it is refused.
"""

import re

from tailramp.errors import WrongValue

MATCH = "{match}"
"""The place in a query where the label matchers of a slot go."""

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_ESTIMATES = (
    *("rate", "irate", "increase", "delta", "idelta", "deriv", "histogram_quantile", "quantile_over_time"),
    *("avg_over_time", "sum_over_time"),
)


def checked_template(value: str) -> str:
    """Return the template without blanks around it; WrongValue if it does not return raw counters per slot."""
    if MATCH not in value:
        raise WrongValue(
            f"without {MATCH} it would count the answers of every slot alike",
            f"Write it where the label matchers go, such as my_requests_total{MATCH}",
        )
    for function in _ESTIMATES:
        if re.search(rf"\b{function}\b\s*(?:by\s*\([^)]*\)\s*)?\(", _QUOTED.sub('""', value)):
            raise WrongValue(
                f"{function}() only estimates how a counter grows, and it is counted here",
                "Write the raw counter, such as my_requests_total{match}",
            )
    return value.strip()


def render(template: str, match: str) -> str:
    """Return the query with the matchers in place."""
    first, *rest = template.split(MATCH)
    rendered = before = first
    for piece in rest:
        unquoted = _QUOTED.sub("", before)
        inside = unquoted.count("{") > unquoted.count("}")
        rendered += (match if inside else f"{{{match}}}") + piece
        before += piece
    return rendered
