"""What the fields of both files are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Strict
from pydantic.alias_generators import to_camel

Flag = Annotated[bool, Strict()]
"""true or false, and no number that could pass for either."""

Count = Annotated[int, Strict()]
"""A whole number: neither true nor a text nor 5.0."""


class FileModel(BaseModel):
    """Fields are spelt in camelCase in the files; unknown ones are refused, since a misspelt limit guards nothing.

    What checks a file is built when the first one is checked: most commands only look at a ramp and check none.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, defer_build=True
    )
