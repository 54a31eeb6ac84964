"""OpenAI's chat interface as far as the lab's models offer it: what may be asked, and how answers and errors look."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

PUBLIC_MODEL = "chat"

_BYTES_PER_TOKEN = 4
_TEMPLATE_TOKENS = 4
_PASSAGE = (
    "A slice of the users asks the new version first; whoever is in stays in while the share grows. 先小范围试用。"
)


@dataclass(frozen=True)
class ChatRequest:
    """What a valid request wants."""

    prompt_tokens: int
    most_tokens: int | None
    """None if the answer may be as long as the model likes."""
    streamed: bool
    with_usage: bool
    """Whether the last piece of a stream says how many tokens there were."""


@dataclass(frozen=True)
class ChatAnswer:
    """One answer, by the name under which a client may report it."""

    id: str
    model: str
    created: int
    """Unix seconds."""
    prompt_tokens: int
    tokens: int
    cut: bool
    """Whether the request's limit ended it."""

    @property
    def content(self) -> str:
        length = self.tokens * _BYTES_PER_TOKEN
        return (_PASSAGE * (length // len(_PASSAGE) + 1))[:length]

    @property
    def _finish_reason(self) -> str:
        return "length" if self.cut else "stop"

    @property
    def _usage(self) -> dict[str, int]:
        total = self.prompt_tokens + self.tokens
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.tokens, "total_tokens": total}

    def whole(self) -> bytes:
        """The answer to a request that is not streamed."""
        message = {"role": "assistant", "content": self.content}
        choice = {"index": 0, "message": message, "finish_reason": self._finish_reason}
        return _bytes({**self._head("chat.completion"), "choices": [choice], "usage": self._usage})

    def pieces(self, count: int) -> list[bytes]:
        """At most ``count`` server-sent events that hold the content in parts of the same length, in order."""
        content = self.content
        each = -(-len(content) // count)
        parts = [content[start : start + each] for start in range(0, len(content), each)]
        return [
            self._event([{"index": 0, "delta": _delta(part, first=not number), "finish_reason": None}])
            for number, part in enumerate(parts)
        ]

    def ending(self, *, with_usage: bool) -> bytes:
        """The server-sent events that end a stream."""
        ending = self._event([{"index": 0, "delta": {}, "finish_reason": self._finish_reason}])
        if with_usage:
            ending += self._event([], usage=self._usage)
        return ending + STREAM_END

    def _head(self, kind: str) -> dict[str, object]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _event(self, choices: list[dict[str, object]], **more: object) -> bytes:
        return b"data: " + _bytes({**self._head("chat.completion.chunk"), "choices": choices, **more}) + b"\n\n"


STREAM_END = b"data: [DONE]\n\n"
"""Without it a stream was cut."""


def _delta(part: str, *, first: bool) -> dict[str, str]:
    return {"role": "assistant", "content": part} if first else {"content": part}


def _bytes(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


class BadRequestError(Exception):
    """A request that OpenAI's interface refuses; ``answer`` is how it says so."""

    def __init__(self, message: str, *, param: str | None = None, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.status = status
        self.code = code

    def answer(self) -> web.Response:
        return error_answer(self.status, str(self), "invalid_request_error", self.param, self.code)


def error_answer(
    status: int, message: str, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> web.Response:
    return web.json_response({"error": {"message": message, "type": kind, "param": param, "code": code}}, status=status)


def understand(body: bytes, model: str) -> ChatRequest:
    """The request in ``body`` to the server of ``model``.  Raises BadRequestError."""
    try:
        asked: Any = json.loads(body)
    except ValueError as error:
        raise BadRequestError(f"The body is not valid JSON: {error}. Send an object.") from None
    if not isinstance(asked, dict):
        raise BadRequestError(f"The body is a JSON {type(asked).__name__}. Send an object.")
    if (wanted := asked.get("model")) not in (PUBLIC_MODEL, model):
        status, code = (404, "model_not_found") if isinstance(wanted, str) else (400, None)
        message = f"`model` is {wanted!r}, which is not served here. Ask for {PUBLIC_MODEL!r}."
        raise BadRequestError(message, param="model", status=status, code=code)
    streamed, options = asked.get("stream"), asked.get("stream_options")
    if streamed is not None and not isinstance(streamed, bool):
        raise BadRequestError(f"`stream` is {streamed!r}. Send true or false.", param="stream")
    if options is not None and not (streamed and isinstance(options, dict)):
        raise BadRequestError("`stream_options` goes with `stream: true`, as an object.", param="stream_options")
    return ChatRequest(
        _prompt_tokens(asked.get("messages")),
        _most_tokens(asked),
        streamed=bool(streamed),
        with_usage=bool((options or {}).get("include_usage")),
    )


def _prompt_tokens(messages: object) -> int:
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("`messages` is missing or empty. Send a list of messages.", param="messages")
    size = 0
    for number, message in enumerate(messages):
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, str):
            where = f"messages[{number}].content"
            raise BadRequestError(f"`{where}` is not text. Send a string.", param=where)
        size += len(content.encode(errors="replace"))
    return -(-size // _BYTES_PER_TOKEN) + _TEMPLATE_TOKENS * len(messages)


def _most_tokens(asked: dict[str, Any]) -> int | None:
    for field in ("max_completion_tokens", "max_tokens"):
        most = asked.get(field)
        if most is None:
            continue
        if not isinstance(most, int) or isinstance(most, bool) or most < 1:
            raise BadRequestError(f"`{field}` is {most!r}. Send a whole number above 0.", param=field)
        return most
    return None
