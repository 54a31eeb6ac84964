"""A slot that is deployed by other means: nobody here can see its servers, only whether it answers."""

from activities.workloads.protocol import Holder, Progress, Restored
from tailramp.errors import Problem


class External:
    """Everything is somebody else's; whether the slot serves the model is asked of the slot itself."""

    async def preflight(self, model: str | None) -> list[Problem]:  # noqa: ARG002
        return []

    async def size(self) -> int | None:
        return None

    async def found_size(self) -> int | None:
        return None

    async def written_by(self) -> str | None:
        return None

    async def changed_by(self, ramp: str) -> bool:  # noqa: ARG002
        return False

    async def claim(self, holder: Holder, *, serves: bool) -> None:
        """Nobody here writes it."""

    async def prepare(self, model: str, holder: Holder) -> None:
        """Nobody here can."""

    async def ready(self, servers: int, seconds: float) -> Progress:  # noqa: ARG002
        return Progress(wanted=0, ready=0, unit="")

    async def grow(self, servers: int, holder: Holder) -> None:
        """Nobody here can."""

    async def shrink(self, servers: int, holder: Holder) -> None:
        """Nobody here can."""

    async def restore(self, holder: Holder | None, *, serves: bool) -> Restored:  # noqa: ARG002
        return Restored()

    async def retire(self, servers: int | None, holder: Holder) -> None:
        """Nobody here can."""
