"""Where the user id stands and how it becomes a bucket."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tailramp.buckets import Resolution
from tailramp.forms import HeaderName, Name
from tailramp.spec.fields import FileModel


class Identity(FileModel):
    """Where the user id stands and how it becomes a bucket."""

    header: HeaderName = Field(default="X-User-Id", description="trusted header that holds the user id")
    strategy: Literal["sha256"] = Field(default="sha256", description="how a user id becomes a bucket")
    salt: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="mixed into every user id: another salt shuffles all users", examples=["choose-once-and-keep"]
    )
    salt_id: Name = Field(default="default", description="names the salt in gateway and records without telling it")
    resolution: Resolution = Field(default=100, description="how many buckets there are: 00-99 or 0000-9999")
