"""Where the checks' metrics are, and how that Prometheus wants to be asked."""

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from tailramp.errors import WrongValue
from tailramp.forms import HeaderName, Url
from tailramp.secret_reference import SecretReference, is_reference
from tailramp.spec.fields import Count, FileModel
from tailramp.units import Duration, parse_duration

_REFERENCE_SOMEWHERE = re.compile(r"\$\{[^}]*\}")


def _header_value(value: str) -> str:
    if _REFERENCE_SOMEWHERE.search(value) and not is_reference(value):
        mend = "Put the rest into the variable too"
        raise WrongValue("a reference such as ${TENANT_TOKEN} stands for a whole value", mend)
    if not value.strip() or not value.isprintable():
        raise WrongValue("a header value is printable text, and not empty", "Write it in one line, or leave it out")
    return value


HeaderValue = Annotated[str, AfterValidator(_header_value)]
"""Plain text such as a tenant's name, or a reference to a secret."""


class BasicAuth(FileModel):
    username: str = Field(min_length=1, description="of the account that may ask")
    password: SecretReference = Field(description="such as ${PROMETHEUS_PASSWORD}")


class Prometheus(FileModel):
    """One Prometheus, or what speaks its query API: Thanos, Mimir, VictoriaMetrics, a cloud's managed service."""

    url: Url = Field(description="up to the path before /api/v1/query")
    timeout: Duration = Field(default=parse_duration("5s"), description="per query")
    scrape_interval: Duration = Field(default=parse_duration("15s"), description="of the metrics that checks read")
    ingestion_delay: Duration = Field(
        default=parse_duration("0s"),
        description="how long after its scrape a sample can be asked for; a managed service may need a minute",
    )
    bearer_token: SecretReference | None = Field(default=None, description="such as ${PROMETHEUS_TOKEN}")
    basic_auth: BasicAuth | None = Field(default=None, description="instead of bearerToken")
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, description="sent with every query, such as X-Scope-OrgID: chat; a secret as ${VAR}"
    )
    ca_file: Path | None = Field(default=None, description="certificates that its TLS is checked with, on the worker")
    concurrency: Count = Field(default=8, ge=1, le=64, description="queries at once, of all ramps of a worker together")
    max_points: Count = Field(
        default=11_000, ge=100, le=11_000, description="points per series that it returns for one range query"
    )

    @property
    def lookback(self) -> float:
        """Seconds without a new scrape after which a series is taken to be gone: its last value is no news."""
        return max(5 * self.scrape_interval.total_seconds(), 5.0)

    @property
    def lag(self) -> float:
        """Seconds after its time from which a tick can be asked for: one scrape late, and as late as it is stored."""
        return (self.scrape_interval + self.ingestion_delay).total_seconds()

    @field_validator("timeout")
    @classmethod
    def _timeout_is_positive(cls, value: Any) -> Any:
        if value.total_seconds() <= 0:
            raise WrongValue("a query needs some time to be answered", "Write for example 5s")
        return value

    @field_validator("headers")
    @classmethod
    def _no_authorization(cls, value: dict[str, str]) -> dict[str, str]:
        if any(name.lower() == "authorization" for name in value):
            mend = "Write bearerToken or basicAuth instead"
            raise WrongValue("a header Authorization would hold a secret", mend)
        return value

    @field_validator("ca_file")
    @classmethod
    def _ca_file_is_absolute(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_absolute():
            mend = "Write the whole path, which starts with /"
            raise WrongValue("the worker that reads the file may run in another folder", mend)
        return value

    @model_validator(mode="after")
    def _one_way_to_authenticate(self) -> Self:
        if self.bearer_token is not None and self.basic_auth is not None:
            reason = "bearerToken and basicAuth are both set, and Prometheus takes one of them"
            raise WrongValue(reason, "Keep one of them", ("basicAuth",))
        if self.ca_file is not None and self.url.startswith("http:"):
            reason = "url starts with http: so no certificate is ever shown"
            raise WrongValue(reason, "Let url start with https:, or leave caFile out", ("caFile",))
        if self.url.startswith("http:") and (self.bearer_token or self.basic_auth) and not _is_loopback(self.url):
            reason = "bearerToken and basicAuth would cross the network in the clear"
            raise WrongValue(reason, "Let url start with https:", ("url",))
        return self


def _is_loopback(url: str) -> bool:
    return re.match(r"http://(?:localhost|127\.[0-9.]+|\[::1\])(?:[:/]|$)", url) is not None
