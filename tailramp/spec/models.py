"""How the name of a model, as the researcher writes it, is spelt elsewhere."""

from typing import Annotated, Final

from pydantic import Field

from tailramp.forms import Form
from tailramp.spec.fields import FileModel
from tailramp.spec.workload import LabelKey, Spelling

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

    image: ModelTemplate | None = Field(
        default=None,
        description="the image that runs it, where each model has one of its own",
        examples=["registry.example.com/llm/{model}:1"],
    )
    storage_uri: ModelTemplate | None = Field(
        default=None, description="where its weights are", examples=["oss://llm-models/{model}"]
    )
    labels: dict[LabelKey, ModelTemplate] = Field(
        default={}, description="labels of its pods", examples=[{"model-version": "{model}"}]
    )

    def served_as(self, model: str) -> str:
        """What a server that runs ``model`` calls it."""
        return self.served.replace(_PLACE, model)

    def image_of(self, model: str) -> str | None:
        """The image that runs ``model``; None if every model runs in the same."""
        return None if self.image is None else self.image.replace(_PLACE, model)

    def labels_of(self, model: str) -> dict[str, str]:
        """Labels of the pods that run ``model``."""
        return {key: template.replace(_PLACE, model) for key, template in self.labels.items()}

    def spelt(self, spelling: Spelling, model: str) -> str:
        """``model`` as one of the templates spells it.  ValueError for a template that the file does not have."""
        if spelling == "storageUri":
            if self.storage_uri is None:
                raise ValueError("models.storageUri is not set")
            return self.storage_uri.replace(_PLACE, model)
        return self.served_as(model) if spelling == "served" else model
