"""A synthetic caller for any Voxray `/ws`: speaks in real time, keeps an ear's account of what it was sent.

    async with Caller("ws://127.0.0.1:8080/ws") as caller:
        greeting = await caller.listen()
        await caller.say(clip)
        reply = await caller.listen()

It is light, so that a benchmark can run a hundred in one process: frames are cut before the call, and nothing is
computed per frame. All times are seconds since the server's `StartFrame`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import anyio
from websockets.asyncio.client import ClientConnection, connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from voxray.audio.format import PCM_16K, PCM_24K, AudioFormat, Encoding
from voxray.errors import VoxrayError
from voxray.testing.call_account import FRAME_SECS, CallAccount, Clip, Ended, Reply, parse_frame

CONNECT_SECS = 10.0
CLOSE_SECS = 1.0
LISTEN_SECS = 30.0  # for an answer to begin
REPLY_SECS = 300.0  # for it to end


class NotConnectedError(VoxrayError):
    """There is no agent at this address, or it did not take the call."""


class NoReplyError(VoxrayError):
    """The agent did not answer in time, or the call ended before."""


def socket_address(target: str) -> str:
    """The address of the agent's socket: "localhost:8080" and "http://host" become "ws://…/ws".

    Raises:
        ValueError: not an address.
    """
    if "://" not in target:
        target = f"ws://{target}"
    parts = urlsplit(target)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f'"{target}" is not an address; use ws://HOST:PORT/ws')
    return urlunsplit((scheme, parts.netloc, parts.path if parts.path not in ("", "/") else "/ws", parts.query, ""))


def is_loopback(target: str) -> bool:
    """Whether `target` names this machine's own interface. Names other than localhost are not looked up."""
    host = urlsplit(socket_address(target)).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class Caller(CallAccount):
    """One call. Enter it to connect; leaving it hangs up. Not for several tasks at once.

    `api_key` travels as a bearer token. With `record`, what was heard is kept; `heard_pcm()` returns it.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str = "",
        frame_secs: float = FRAME_SECS,
        record: bool = False,
        connect_secs: float = CONNECT_SECS,
    ) -> None:
        super().__init__(record=record)
        self.url = socket_address(url)
        self.said_from = 0.0  # when the first frame of the latest speech was sent
        self.late_secs = 0.0  # by how much the worst frame was late: the caller's own overload
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._frame_secs = frame_secs
        self._connect_secs = connect_secs
        self._stack = AsyncExitStack()
        self._clip: tuple[bytes, ...] = ()
        self._position = 0
        self._taken: set[int] = set()

    # ── the connection ──

    async def __aenter__(self) -> Self:
        """Raises NotConnectedError."""
        async with self._stack:
            self._socket = await self._stack.enter_async_context(await self._open())
            await self._begin()
            tasks = await self._stack.enter_async_context(anyio.create_task_group())
            self._stack.callback(tasks.cancel_scope.cancel)
            tasks.start_soon(self._receive)
            tasks.start_soon(self._send)
            self._stack = self._stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        # A task group would wrap the block's own error in a group; only cancellation is its business.
        if isinstance(error, anyio.get_cancelled_exc_class()):
            return await self._stack.__aexit__(kind, error, trace)
        await self._stack.__aexit__(None, None, None)
        return None

    async def _open(self) -> ClientConnection:
        try:
            with anyio.fail_after(self._connect_secs):
                return await open_socket(
                    self.url,
                    additional_headers=self._headers,
                    open_timeout=None,
                    close_timeout=CLOSE_SECS,
                    compression=None,
                    max_size=16 * 1024 * 1024,
                )
        except InvalidStatus as error:
            status = error.response.status_code
            remedy = {401: "; give the right --api-key", 403: "; give the right --api-key", 503: "; it is full"}
            raise NotConnectedError(f"{self.url} answered {status}{remedy.get(status, '')}") from error
        except TimeoutError as error:
            raise NotConnectedError(f"{self.url} did not answer within {self._connect_secs:g} s") from error
        except (InvalidURI, InvalidHandshake, EOFError) as error:
            raise NotConnectedError(f"{self.url} does not speak websocket") from error
        except OSError as error:
            raise NotConnectedError(f"{self.url}: {error.strerror or error}") from error

    async def _begin(self) -> None:
        """Wait for the server's first message; what it says about audio is law."""
        try:
            with anyio.fail_after(self._connect_secs):
                kind, data = "", dict[str, Any]()
                while kind != "StartFrame":
                    message = await self._socket.recv()
                    if isinstance(message, str):
                        kind, data = parse_frame(message)
        except TimeoutError as error:
            raise NotConnectedError(f"{self.url} sent no StartFrame within {self._connect_secs:g} s") from error
        except ConnectionClosed as error:
            close = error.rcvd
            why = f"{close.code} {close.reason}".strip() if close else "no reason"
            raise NotConnectedError(f"{self.url} did not take the call: closed with {why}") from error
        self._start = anyio.current_time()
        self.session_id = str(data.get("session_id", ""))
        self.audio_out = AudioFormat(Encoding.PCM16, int(data.get("audio_out_sample_rate") or PCM_24K.rate_hz))

    async def hang_up(self) -> None:
        """End the call as a client does, and wait for the server's goodbye."""
        if not self.ended:
            await self._say_text("EndFrame", {"reason": "caller hung up"})
            await self._until(lambda: self.ended is not None, CLOSE_SECS * 2)

    # ── what the caller does ──

    async def say(self, sound: Clip | bytes) -> None:
        """Speak, in real time; return when the last frame of speech is sent. Silence follows by itself."""
        clip = sound if isinstance(sound, Clip) else Clip.of(sound, frame_secs=self._frame_secs)
        if clip.frames:
            self._clip, self._position, self._speaking = clip.frames, 0, True
            await self._until(lambda: not self._speaking, clip.secs * 10 + LISTEN_SECS)

    async def type(self, text: str) -> None:
        """Send a turn as text."""
        await self._say_text("TranscriptionFrame", {"text": text, "user_id": "caller", "finalized": True})
        self.said_until = self.now()

    async def press(self, digits: str) -> None:
        """Send keys, 0-9, * and #."""
        for digit in digits:
            await self._say_text("InputDTMFFrame", {"digit": digit})
        self.said_until = self.now()

    async def silence(self, secs: float) -> None:
        """Say nothing for that long, or until the call ends."""
        await self._until(lambda: False, secs)

    async def goodbye(self, timeout_secs: float = LISTEN_SECS) -> Ended | None:
        """Wait for the agent to end the call; None if it does not."""
        await self._until(lambda: self.ended is not None, timeout_secs)
        return self.ended

    async def listen(self, timeout_secs: float = LISTEN_SECS) -> Reply:
        """Hear the next answer to its end, and return it. An answer that began before the caller had finished speaking,
        or that was given up before it could be heard, is no answer.

        Raises:
            NoReplyError: none within `timeout_secs`, or the call ended.
        """
        reply = await self._next(timeout_secs)
        if not await self._until(lambda: reply.ended_at is not None, REPLY_SECS):
            raise NoReplyError("the call ended in the middle of an answer" if self.ended else "an answer without end")
        if (rest := self._ear_until - self.now()) > 0:
            await anyio.sleep(rest)
        return reply

    async def listen_for(self, secs: float, timeout_secs: float = LISTEN_SECS) -> Reply:
        """Hear the first `secs` of the next answer, and return it unfinished: where to interrupt it. An answer shorter
        than that is returned at its end. Raises NoReplyError."""
        reply = await self._next(timeout_secs)
        if reply.first_audio_at is not None:
            left = reply.first_audio_at + secs - self.now()
            await self._until(lambda: reply.ended_at is not None, max(left, 0.0))
        return reply

    async def answered(self, timeout_secs: float) -> bool:
        """Whether an answer begins within that time: a greeting, say."""
        return await self._until(lambda: self._answer() is not None, timeout_secs)

    async def _next(self, timeout_secs: float) -> Reply:
        """The next answer that has begun; each is given once."""
        await self.answered(timeout_secs)
        reply = self._answer()
        if reply is None:
            if self.ended:
                raise NoReplyError(f"the call ended ({self.ended.reason or self.ended.code}) before an answer")
            raise NoReplyError(f"no answer within {timeout_secs:g} s")
        self._taken.add(reply.number)
        return reply

    def _answer(self) -> Reply | None:
        return next((reply for reply in self.replies.values() if self._answers(reply)), None)

    def _answers(self, reply: Reply) -> bool:
        if reply.number in self._taken:
            return False
        began = reply.first_audio_at if reply.first_audio_at is not None else reply.ended_at
        if began is None or began < self.said_until:
            return False
        return reply.first_audio_at is not None or not reply.interrupted

    # ── the two tasks ──

    async def _send(self) -> None:
        silence = bytes(PCM_16K.size(self._frame_secs))
        next_at = anyio.current_time()
        try:
            while not self.ended:
                if self._clip:
                    if not self._position:
                        self.said_from = self.now()
                    await self._socket.send(self._clip[self._position])
                    self._position += 1
                    if self._position == len(self._clip):
                        self._clip, self._speaking, self.said_until = (), False, self.now()
                        self._notify()
                else:
                    await self._socket.send(silence)
                while self._marks and self._marks[0][0] <= self.now():
                    await self._say_text("MarkFrame", {"name": self._marks.popleft()[1]})
                next_at += self._frame_secs
                wait = next_at - anyio.current_time()
                self.late_secs = max(self.late_secs, -wait)
                await anyio.sleep(max(wait, 0))
        except ConnectionClosed:
            pass  # the receiver sees it too, and knows the code

    async def _receive(self) -> None:
        ended: Ended | None = None
        try:
            while True:
                message = await self._socket.recv()
                if isinstance(message, bytes):
                    self._hear(message)
                    continue
                kind, data = parse_frame(message)
                if kind == "EndFrame":
                    ended = Ended(self.now(), str(data.get("reason", "")), str(data.get("detail", "")))
                self._on_frame(kind, data)
        except ConnectionClosed as error:
            code = error.rcvd.code if error.rcvd else 1006
            reason, detail = (ended.reason, ended.detail) if ended else (error.rcvd.reason if error.rcvd else "", "")
            self.ended = Ended(self.now(), reason, detail, code)
        except ValueError as error:
            self.ended = Ended(self.now(), "bad message", str(error), 1007)
        self._notify()

    async def _say_text(self, kind: str, data: dict[str, Any]) -> None:
        with suppress(ConnectionClosed):  # the receiver sees it too
            await self._socket.send(json.dumps({"type": kind, "data": data}))

    async def _until(self, condition: Callable[[], bool], timeout_secs: float) -> bool:
        """Wait for `condition`; False if the time is over or the call is."""
        with anyio.move_on_after(timeout_secs):
            while not condition() and not self.ended:
                self._changed = self._changed or anyio.Event()
                await self._changed.wait()
        return condition()
