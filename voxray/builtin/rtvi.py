"""RTVI for one connection: JSON messages ⇄ events. The carriers (text, protobuf, data channel) only wrap the messages.

Pure. The client speaks first: until its `client-ready` it is told nothing but errors. Requests that carry an id are
answered at once where the answer is ours to give; `client-message` is answered by what follows from it, a
`ServerMessage` or `RequestFailed` of its id. What the protocol has a message for and this product no occasion, a plugin
says with a `ServerMessage` of that kind: see `APPLICATION`.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections.abc import Callable
from typing import Any

import voxray
from voxray import events
from voxray.builtin.chat_json import parse_json, parse_messages, parse_tools, text_of
from voxray.builtin.client_sound import ClientSound
from voxray.builtin.rtvi_news import Data, News, Notice
from voxray.events import Inbound, Outbound
from voxray.protocols.serializer import Response

logger = logging.getLogger(__name__)

LABEL = "rtvi-ai"
VERSION = "2.1.0"  # from 2.1 on clients send keys as `buttons`; nothing newer is used
VERSION_FORM = re.compile(r"(\d{1,4})\.\d{1,4}\.\d{1,4}")
KEYS = frozenset("0123456789*#")
MAX_KEYS = 64
MAX_NAME = 128  # characters of an id or a kind
MAX_ASKED = 256  # requests of the client that may be open at once
SET_TOOLS = "voxray-set-tools"  # RTVI has no message with which a client offers its tools
APPLICATION: dict[str, tuple[str, ...]] = {  # what only an application has reason to send, and what it must say
    "ui-command": ("command",),
    "ui-job-group": ("kind", "job_id", "at"),
    "bot-llm-search-response": ("origins",),
    "user-mute-started": (),
    "user-mute-stopped": (),
}

Items = list[bytes | Inbound | Response]


class Rtvi:
    """One connection's state. `library` is what the client calls itself, "" before it is `ready`."""

    def __init__(self) -> None:
        self.ready = False
        self.library = ""
        self.sound = ClientSound()
        self._news = News()
        self._asked: dict[str, str] = {}  # id → t of the client-messages that wait for an answer

    # ── from the client ──

    def decode(self, text: str) -> Items:
        """What a message means; nothing for what is no RTVI message.

        Raises:
            ValueError: a faulty message without an id to answer to; the text is safe to send back.
        """
        message = _parsed(text)
        if message is None or message.get("label") != LABEL:
            logger.debug("ignored what is no RTVI message")
            return []
        asked = message.get("id", "")
        if not isinstance(asked, str) or len(asked) > MAX_NAME:
            raise ValueError(f'"id" must be a string of at most {MAX_NAME} characters')
        try:
            return self._request(message, asked)
        except ValueError as error:
            if not asked:
                raise
            return [_response("error-response", {"error": str(error)}, asked)]

    def _request(self, message: Data, asked: str) -> Items:
        kind, data = message.get("type"), message.get("data")
        if not isinstance(kind, str):
            raise ValueError('"type" must be a string')
        if kind not in REQUESTS:
            raise ValueError(f"Unsupported type {kind[:MAX_NAME]}")
        if data is None or (kind == "client-ready" and not isinstance(data, dict)):
            data = {}  # without its bot-ready a client would wait for ever
        if not isinstance(data, dict):
            raise ValueError('"data" must be an object')
        return REQUESTS[kind](self, data, asked)

    def _client_ready(self, data: Data, asked: str) -> Items:
        version, warnings = _version(data.get("version"))
        about = data.get("about")
        library = about.get("library") if isinstance(about, dict) else None
        self.library = library if isinstance(library, str) else ""
        self._news.legacy = version.startswith("1.")
        self.ready = True
        ready = {
            "version": version,
            "about": {"library": "voxray", "library_version": voxray.__version__},
            "capabilities": {
                "audio_in": True,
                "audio_out": True,
                "video_in": False,
                "screen_in": False,
                "video_out": False,
                "metrics": True,
            },
        }
        answers = [_response("error-response", {"error": warning}, asked) for warning in warnings]
        return [*answers, _response("bot-ready", ready, asked), events.ClientReady()]

    def _client_message(self, data: Data, asked: str) -> Items:
        kind = _name(data, "t")
        if kind == SET_TOOLS:
            tools = data.get("d")
            chosen = parse_tools(tools.get("tools") if isinstance(tools, dict) else None)
            return [events.ToolsReplaced(chosen), _response("server-response", {"t": kind}, asked)]
        if asked:
            if len(self._asked) >= MAX_ASKED:
                raise ValueError("too many messages wait for an answer")
            self._asked[asked] = kind
        return [events.ClientMessage(kind, data.get("d"), asked)]

    # ── to the client ──

    def encode(self, event: Outbound) -> list[str]:
        """The messages for an event, in order."""
        if isinstance(event, events.ServerMessage):
            return self._from_application(event)
        if isinstance(event, events.RequestFailed):
            known = self._asked.pop(event.id, None)
            return [] if known is None else [_json(("error-response", {"error": event.error}), event.id)]
        if self.ready:
            return [_json(notice) for notice in self._news.of(event)]
        if isinstance(event, events.CallEnded):
            return [_json(_never_began(event))]
        return [_json(notice) for notice in News().of(event) if notice[0] == "error"]

    def _from_application(self, event: events.ServerMessage) -> list[str]:
        answer: Data = {} if event.data is None else {"d": event.data}
        if event.id in self._asked:
            return [_json(("server-response", {"t": self._asked.pop(event.id), **answer}), event.id)]
        if event.id or not self.ready:
            return []  # with an id it is too late: the client was told that there is no answer
        needed = APPLICATION.get(event.kind)
        if needed == ():
            return [_json(notice) for notice in self._news.of(event)]
        if needed and isinstance(event.data, dict) and all(event.data.get(name) is not None for name in needed):
            return [_json((event.kind, event.data))]
        return [_json(("server-message", {"t": event.kind, **answer}))]


def _parsed(text: str) -> Data | None:
    """The object in `text`, None if there is none."""
    try:
        found = parse_json(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _json(notice: Notice, answers: str = "") -> str:
    message: Data = {"id": answers, "label": LABEL, "type": notice[0]}
    if notice[1] is not None:
        message["data"] = notice[1]
    text = json.dumps(message, separators=(",", ":"), default=str)
    if "NaN" in text or "Infinity" in text:  # which JSON does not have: the client could not read the message
        text = json.dumps(json.loads(text, parse_constant=lambda name: None), separators=(",", ":"))
    return text


def _response(kind: str, data: Data, asked: str) -> Response:
    return Response(_json((kind, data), asked))


def _never_began(event: events.CallEnded) -> Notice:
    """A client that is not ready waits for its bot-ready without a limit, whatever the reason is."""
    return "error", {"error": f"the call could not begin: {event.cause.replace('_', ' ')}", "fatal": True}


def _version(value: Any) -> tuple[str, list[str]]:
    """The version to speak, and what is wrong with the client's."""
    found = VERSION_FORM.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return VERSION, [f'"version" must be like {VERSION}; going on with {VERSION}']
    major = int(found[1])
    if major == 1:
        return found[0], []
    return VERSION, [] if major == 2 else [f"version {found[0]} is not supported; going on with {VERSION}"]


# ── fields ──


def _name(data: Data, name: str) -> str:
    text = text_of(data.get(name), name)
    if not 0 < len(text) <= MAX_NAME:
        raise ValueError(f'"{name}" must have 1 to {MAX_NAME} characters')
    return text


def _flag(data: Data, name: str, default: bool) -> bool:
    value = data.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ValueError(f'"{name}" must be true or false')
    return value


def _decoded(encoded: Any) -> bytes:
    try:
        return base64.b64decode(text_of(encoded, "base64Audio"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("audio must be base64") from None


# ── requests ──


def _send_text(self: Rtvi, data: Data, asked: str) -> Items:
    text = text_of(data.get("content"), "content").strip()
    if not text:
        raise ValueError('"content" is empty')
    options = {} if data.get("options") is None else data["options"]
    if not isinstance(options, dict):
        raise ValueError('"options" must be an object')
    run, speak = _flag(options, "run_immediately", True), _flag(options, "audio_response", True)
    return [events.TextReceived(text, run=run, speak=speak)]


def _append(self: Rtvi, data: Data, asked: str) -> Items:
    message = {"role": data.get("role"), "content": data.get("content")}
    appended = events.ContextAppended(parse_messages([message]), _flag(data, "run_immediately", False))
    return [appended, _response("append-to-context-result", {"result": "appended"}, asked)]


def _disconnect(self: Rtvi, data: Data, asked: str) -> Items:
    return [events.EndRequested()]


def _dtmf(self: Rtvi, data: Data, asked: str) -> Items:
    keys = [data.get("button")] if data.get("buttons") is None else data["buttons"]
    if not isinstance(keys, list) or not 0 < len(keys) <= MAX_KEYS:
        raise ValueError(f'"buttons" must be a list of 1 to {MAX_KEYS} keys')
    if not all(isinstance(key, str) and key in KEYS for key in keys):
        raise ValueError("a key must be one of 0-9, * and #")
    return [events.DtmfReceived(key) for key in keys]


def _tool_result(self: Rtvi, data: Data, asked: str) -> Items:
    if "result" not in data:
        raise ValueError('"result" is missing')
    result = data["result"]
    text = result if isinstance(result, str) else json.dumps(result)
    return [events.ToolAnswered(_name(data, "tool_call_id"), text)]


def _raw_audio(self: Rtvi, data: Data, asked: str) -> Items:
    return _heard(self, data, _decoded(data.get("base64Audio")))


def _raw_audio_batch(self: Rtvi, data: Data, asked: str) -> Items:
    batch = data.get("base64AudioBatch")
    if not isinstance(batch, list):
        raise ValueError('"base64AudioBatch" must be a list')
    return _heard(self, data, b"".join(map(_decoded, batch)))


def _heard(self: Rtvi, data: Data, sound: bytes) -> Items:
    pcm = self.sound.heard(sound, data.get("sampleRate"), data.get("numChannels", 1))
    return [pcm] if pcm else []


def _for_application(kind: str, needed: str, shape: type) -> Callable[[Rtvi, Data, str], Items]:
    def request(self: Rtvi, data: Data, asked: str) -> Items:
        if not isinstance(data.get(needed), shape):
            raise ValueError(f'"{needed}" must be {SHAPES[shape]}')
        return [events.ClientMessage(kind, data)]

    return request


SHAPES: dict[type, str] = {str: "a string", dict: "an object"}
REQUESTS: dict[str, Callable[[Rtvi, Data, str], Items]] = {
    "client-ready": Rtvi._client_ready,
    "disconnect-bot": _disconnect,
    "client-message": Rtvi._client_message,
    "send-text": _send_text,
    "dtmf": _dtmf,
    "llm-function-call-result": _tool_result,
    "append-to-context": _append,
    "ui-event": _for_application("ui-event", "event", str),
    "ui-snapshot": _for_application("ui-snapshot", "tree", dict),
    "ui-cancel-job-group": _for_application("ui-cancel-job-group", "job_id", str),
    "raw-audio": _raw_audio,
    "raw-audio-batch": _raw_audio_batch,
}
