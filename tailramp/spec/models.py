"""How the name of a model, as the researcher writes it, is spelt elsewhere."""

from typing import Annotated, Final

from pydantic import Field

from tailramp.forms import Form
from tailramp.spec.fields import FileModel

_PLACE: Final = "{model}"

ModelTemplate = Annotated[
    str,
    Form(
        pattern=r"^[^\s{}$]*\{model\}[^\s{}$]*$",
        words="a text with {model} in it once, without blanks, $ and other braces",
        example="/models/{model}",
        repair=lambda text: text.replace("{name}", _PLACE).replace("${model}", _PLACE),
    ),
]


class Models(FileModel):
    """Templates: ``{model}`` is the name in the canary file."""

    served: ModelTemplate = Field(
        default=_PLACE,
        description="how a server calls it at /v1/models; vLLM answers with the path that it was started with, unless "
        "--served-model-name says otherwise",
        examples=["/models/{model}"],
    )

    def served_as(self, model: str) -> str:
        """What a server that runs ``model`` calls it."""
        return self.served.replace(_PLACE, model)
