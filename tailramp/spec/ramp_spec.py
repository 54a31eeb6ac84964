"""Both files as one value: the input of a ramp."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from tailramp.spec.canary_file import CanaryFile, Candidate
from tailramp.spec.digest import digest_of
from tailramp.spec.platform_file import PlatformFile


class RampSpec(BaseModel):
    """Both files, validated together: the input of a ramp.  ``digest`` pins it."""

    model_config = ConfigDict(frozen=True)

    canary: CanaryFile
    platform: PlatformFile

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return self.canary.candidates

    @property
    def candidate(self) -> Candidate:
        return self.candidates[0]

    def candidate_of(self, model: str) -> Candidate:
        """The candidate that tries ``model``.  KeyError if none does."""
        return {candidate.model: candidate for candidate in self.candidates}[model]

    def of(self, candidates: Sequence[Candidate]) -> "RampSpec":
        """The same spec, for these candidates only."""
        return self.model_copy(update={"canary": CanaryFile.model_construct(canary=None, canaries=tuple(candidates))})

    @property
    def digest(self) -> str:
        return digest_of(self.model_dump(mode="json"))
