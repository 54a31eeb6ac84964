"""Where the user id stands and how it becomes a bucket."""

from enum import StrEnum
from typing import Annotated, Final, NamedTuple, Self

from pydantic import Field, StringConstraints, model_validator

from tailramp.buckets import BucketFunction, Resolution, Strategy
from tailramp.errors import WrongValue
from tailramp.forms import CookieName, HeaderName, IdDigest, JsonName, Name
from tailramp.spec.fields import FileModel

DEFAULT_HEADER: Final = "X-User-Id"


class IdentityKind(StrEnum):
    """The kinds of places in a request where a user id may stand, as the gateways name them."""

    HEADER = "header"
    COOKIE = "cookie"
    CLAIM = "claim"
    API_KEY = "api_key"
    BODY_FIELD = "body_field"


class Source(NamedTuple):
    """A place in a request: the header, cookie, claim or field called ``name``."""

    kind: IdentityKind
    name: str


class Identity(FileModel):
    """Where the user id stands and how it becomes a bucket.

    One of ``header``, ``cookie``, ``claim``, ``apiKey`` and ``bodyField``; without any, the header X-User-Id.
    """

    header: HeaderName | None = Field(
        default=None, description="trusted header that holds the user id; X-User-Id if nothing else is named"
    )
    cookie: CookieName | None = Field(default=None, description="instead: a cookie that holds it", examples=["uid"])
    claim: JsonName | None = Field(
        default=None, description="instead: a claim of a token that the gateway has verified", examples=["sub"]
    )
    api_key: HeaderName | None = Field(
        default=None,
        description="instead: the header with the caller's API key, which stands for the user",
        examples=["Authorization"],
    )
    body_field: JsonName | None = Field(
        default=None, description="instead: a field of the request's JSON, such as OpenAI's user", examples=["user"]
    )
    strategy: Strategy = Field(
        default=Strategy.SHA256,
        description="how a user id becomes a bucket; legacy_base36 and tail2 spread users unevenly (`tailramp skew`)",
    )
    salt: Annotated[str, StringConstraints(max_length=200)] = Field(
        default="",
        description="mixed into every user id: another salt shuffles all users; sha256 needs one",
        examples=["choose-once-and-keep"],
    )
    salt_id: Name = Field(default="default", description="names the salt in gateway and records without telling it")
    resolution: Resolution = Field(default=100, description="how many buckets there are: 00-99 or 0000-9999")
    allow: tuple[IdDigest, ...] = Field(
        default=(),
        description="users who are always in the first bucket, as `tailramp bucket --digest` prints them",
        examples=[["9f86d081884c"]],
    )
    deny: tuple[IdDigest, ...] = Field(
        default=(), description="users who have no bucket: the default always serves them", examples=[["9f86d081884c"]]
    )

    @model_validator(mode="after")
    def _id_stands_in_one_place(self) -> Self:
        named = {"header": self.header, "cookie": self.cookie, "claim": self.claim}
        named |= {"apiKey": self.api_key, "bodyField": self.body_field}
        given = [name for name, value in named.items() if value is not None]
        if len(given) > 1:
            reason = f"the user id stands in one place, and {' and '.join(given)} are named"
            raise WrongValue(reason, f"Keep {given[0]} or {given[1]}", (given[1],))
        return self

    @model_validator(mode="after")
    def _strategy_has_what_it_needs(self) -> Self:
        if self.strategy.is_salted and not self.salt:
            reason = "is empty" if "salt" in self.model_fields_set else "is missing"
            raise WrongValue(reason, "Write for example salt: choose-once-and-keep", ("salt",))
        if self.resolution not in self.strategy.resolutions:
            reason = f"{self.strategy} has 100 buckets"
            raise WrongValue(reason, "Write resolution: 100, or strategy: sha256", ("resolution",))
        if both := set(self.allow) & set(self.deny):
            reason = f"{', '.join(sorted(both))} is in identity.allow too"
            raise WrongValue(reason, "Keep it in one of the lists", ("deny",))
        return self

    @property
    def source(self) -> Source:
        """Where the gateway looks for the user id."""
        places = {
            IdentityKind.COOKIE: self.cookie,
            IdentityKind.CLAIM: self.claim,
            IdentityKind.API_KEY: self.api_key,
            IdentityKind.BODY_FIELD: self.body_field,
        }
        found = [Source(kind, name) for kind, name in places.items() if name is not None]
        return found[0] if found else Source(IdentityKind.HEADER, self.header or DEFAULT_HEADER)

    @property
    def can_be_sent(self) -> bool:
        """Whether a probe can pass for an ordinary user: a verified token can be made by its issuer only."""
        return self.source.kind not in {IdentityKind.CLAIM, IdentityKind.BODY_FIELD}

    def sent_by(self, user_id: str) -> list[tuple[str, str]]:
        """The headers with which that user would come.  ValueError if nobody but an issuer can say."""
        kind, name = self.source
        if not self.can_be_sent:
            raise ValueError(f"no header can hold the user id of a {kind}")
        if kind is IdentityKind.COOKIE:
            return [("Cookie", f"{name}={user_id}")]
        if kind is IdentityKind.API_KEY and name.lower() == "authorization":
            return [(name, f"Bearer {user_id}")]
        return [(name, user_id)]

    @property
    def bucket_function(self) -> BucketFunction:
        """User id → bucket, as the gateway computes it."""
        return BucketFunction(self.salt, self.resolution, self.strategy, allow=self.allow, deny=self.deny)
