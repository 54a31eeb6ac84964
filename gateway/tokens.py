"""Tokens that hold the user id: whose are believed, and the filter of Envoy that verifies them."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints


class TokenIssuer(BaseModel):
    """Whose tokens are believed, and by which keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: Annotated[str, StringConstraints(min_length=1)]
    """What the claim `iss` must say."""
    audiences: tuple[str, ...] = ()
    """Of which the claim `aud` must name one; none: it is not looked at."""
    jwks_file: Path
    """The issuer's public keys as a JSON Web Key Set. Absolute; read when Envoy starts."""


def verification(issuer: TokenIssuer) -> dict[str, object]:
    """The filter that verifies a token and leaves its claims where the Lua finds them; it lets every request through,
    for who may use the service is not the ramp's affair."""
    provider: dict[str, object] = {
        "issuer": issuer.issuer,
        "local_jwks": {"filename": str(issuer.jwks_file)},
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        "forward": True,
        "payload_in_metadata": "tailramp",
    }
    if issuer.audiences:
        provider["audiences"] = list(issuer.audiences)
    either = [{"provider_name": "tailramp"}, {"allow_missing_or_failed": {}}]
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"tailramp": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": either}}}],
    }
