"""Where the user id stands and how it becomes a bucket."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tailramp.buckets import Resolution
from tailramp.forms import HeaderName, Name
from tailramp.spec.fields import FileModel


class Identity(FileModel):
    """Where the user id stands and how it becomes a bucket."""

    header: HeaderName = Field(default="X-User-Id", description="trusted header that holds the user id")
    strategy: Literal["sha256"] = "sha256"
    salt: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="mixed into every user id: another salt shuffles all users", examples=["choose-once-and-keep"]
    )
    salt_id: Name = Field(default="default", description="names the salt in gateway and records without telling it")
    resolution: Resolution = 100
