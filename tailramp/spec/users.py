"""Who counts users, for the question whether they are divided as their buckets say."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from tailramp.errors import WrongValue
from tailramp.query_template import checked_template
from tailramp.spec.fields import FileModel
from tailramp.units import Duration, parse_duration


class UsersSettings(FileModel):
    """A counter that counts each user once in every window, whichever of the slots the user was served by."""

    total: Annotated[str, AfterValidator(checked_template)] = Field(
        description="PromQL of the counter",
        examples=["gateway_user_windows_total{match}"],
        json_schema_extra={"pattern": r"\{match\}"},
    )
    window: Duration = Field(default=parse_duration("10m"), description="how long a user counts once")
    counted_by: Literal["server", "gateway"] = Field(
        default="gateway", description="who counts: what several servers of a slot count, they count several times"
    )

    @field_validator("window")
    @classmethod
    def _window_is_long_enough(cls, value: Any) -> Any:
        if value < timedelta(minutes=1) or value.total_seconds() % 1:
            raise WrongValue("a window of users is a minute or more, in whole seconds", "Write for example 10m")
        return value
