"""Texts of one form: names, addresses, headers.

A regular expression says to nobody what to write instead.  So a form has words, an example, and where one suggests
itself a repair: ``Chat`` as the name of a route is answered with "did you mean chat?".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, core_schema

from tailramp.errors import WrongValue

_HALF_A_CHARACTER: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Form:
    """An annotation of ``str``: the text must match ``pattern`` as a whole, which Python and JSON Schema read alike.

    ``words`` complete "this is not ...".  ``repair`` makes a guess from a wrong text; it is offered only if it fits.
    """

    pattern: str
    words: str
    example: str
    repair: Callable[[str], str] | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": self.pattern, "examples": [self.example]}

    def checked(self, text: str) -> str:
        """``text`` itself.  Raises WrongValue if it has another form."""
        if self.fits(text):
            return text
        guess = self.repair(text) if self.repair is not None else ""
        mend = f"Did you mean {guess}?" if self.fits(guess) else f"Write for example {self.example}"
        raise WrongValue(f"this is not {self.words}", mend)

    def fits(self, text: str) -> bool:
        """Half a character, which no text of a file or a message can hold, fits nowhere."""
        return re.fullmatch(self.pattern, text) is not None and _HALF_A_CHARACTER.search(text) is None


def _as_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


NAME: Final = Form(
    pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
    words="a name of a-z, 0-9 and -, at most 63 of them",
    example="chat",
    repair=_as_name,
)

Name = Annotated[str, NAME]
"""Of what Kubernetes names too."""

SlotName = Annotated[str, NAME]

Segment = Annotated[
    str,
    Form(
        pattern=r"^[A-Z0-9]{1,16}$",
        words="a user tag of A-Z and 0-9, at most 16 of them",
        example="VIP",
        repair=str.upper,
    ),
]

LabelName = Annotated[
    str,
    Form(
        pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,99}$",
        words="a name of a label, of letters, digits and _",
        example="bucket",
        repair=lambda text: re.sub(r"[^a-zA-Z0-9_]+", "_", text.strip()),
    ),
]

ModelName = Annotated[
    str,
    Form(
        pattern=r"^[^\x00-\x20\x7f]{1,200}$",
        words="the name of a model: at most 200 characters without blanks",
        example="llama-2-70b-chat-v1.3",
        repair=lambda text: re.sub(r"[\x00-\x20\x7f]+", "-", text.strip()),
    ),
]

HeaderName = Annotated[
    str,
    Form(
        pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$",
        words="the name of a header: letters, digits and -, at most 64 of them",
        example="X-User-Id",
        repair=lambda text: re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-"),
    ),
]

CookieName = Annotated[
    str,
    Form(
        pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$",
        words="the name of a cookie: letters, digits and marks, at most 64 of them",
        example="uid",
        repair=lambda text: re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_"),
    ),
]

JsonName = Annotated[
    str,
    Form(
        pattern=r"^[A-Za-z_][A-Za-z0-9_:./-]{0,99}$",
        words="the name of a field in JSON: letters, digits and _:./-, at most 100 of them",
        example="sub",
    ),
]

IdDigest = Annotated[
    str,
    Form(
        pattern=r"^[0-9a-f]{12}$",
        words="the digest of a user id: 12 digits of 0-9 and a-f",
        example="9f86d081884c, which `tailramp bucket --digest` prints for an id",
        repair=str.lower,
    ),
]

MetricName = Annotated[
    str,
    Form(
        pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$",
        words="the name of a metric, without braces or functions",
        example="llm_inference_duration_seconds",
        repair=lambda text: text.partition("{")[0].strip(),
    ),
]

Url = Annotated[
    str,
    Form(
        pattern=r"^https?://[^\s/@]+(/[^\s]*)?$",
        words="an address that starts with http:// or https://, without a password in it",
        example="http://127.0.0.1:9090",
        repair=lambda text: f"http://{text}" if "//" not in text else "",
    ),
]

_MATCHER: Final = r'\s*[A-Za-z_][A-Za-z0-9_]*\s*(=~|!~|!=|=)\s*"([^"\\\n]|\\.)*"\s*'

Matchers = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    Form(
        pattern=rf"^{_MATCHER}(,{_MATCHER})*$",
        words="a list of label matchers, without braces",
        example='slot="green",job="llm"',
        repair=lambda text: text.strip().removeprefix("{").removesuffix("}"),
    ),
]
"""PromQL's matchers as people write them without braces."""

UrlPath = Annotated[
    str,
    Form(
        pattern=r"^/[!-~]*$",
        words="a path that starts with /",
        example="/v1/models",
        repair=lambda text: f"/{text}",
    ),
]
