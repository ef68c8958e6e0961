"""A synthetic caller on the phone: speaks, listens and presses keys through a simulated carrier.

    wire = make_wire("twilio", PhoneFacts(call_id="CA1", stream_id="MZ1"), secret=token)
    async with PhoneCaller("http://127.0.0.1:8080", wire) as caller:
        greeting = await caller.listen()
        await caller.say(clip)
        reply = await caller.listen()
    assert not caller.rejected

It asks the webhook, opens the media socket that the answer names, sends frames in real time, and plays what it is sent
on a clock: marks come back when they are played, a clear drops what is not. A phone shows no words: an answer is a
burst of sound, over when nothing was heard for 0.6 s. All times are seconds since the socket was opened.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from urllib.parse import urlsplit, urlunsplit

import anyio
import httpx
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from voxray.audio.convert import Converter
from voxray.audio.format import PCM_16K, AudioFormat, Encoding
from voxray.testing.call_account import FRAME_SECS, Clip, Ended, Reply
from voxray.testing.caller import CONNECT_SECS, LISTEN_SECS, Caller, NotConnectedError
from voxray.testing.phone_wire import (
    Answered,
    CallRefusedError,
    CarrierRejectsError,
    Cleared,
    HungUp,
    Keys,
    MarkSet,
    Meaning,
    PhoneWire,
    Sound,
    WireRequest,
    WireStream,
)

REPLY_GAP_SECS = 0.6  # without sound: the answer is over
SOCKET_PATH = "/telephony/ws"
CALLER_HUNG_UP = "caller hung up"
SILENCE = {Encoding.PCM16: b"\0", Encoding.MULAW: b"\xff", Encoding.ALAW: b"\xd5"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneFaults:
    """What goes wrong on the carrier's side. Times are seconds since the socket was opened; None: never."""

    stop_before_start: bool = False
    media_before_start: bool = False
    missing_marks: bool = False  # no mark comes back
    doubled_marks: bool = False  # each comes back twice
    reorder: bool = False  # every fifth frame comes after the one it should precede
    restart_stream_at: float | None = None  # the stream begins again under a new id
    jitter_ms: float = 0.0  # each frame is late by up to that
    silence_at: float | None = None  # no more frames from then on
    half_open_at: float | None = None  # what we send is not read any more
    seed: int = 0


NO_FAULTS = PhoneFaults()


class PhoneCaller(Caller):
    """One phone call. Enter it to be connected; leaving it hangs up. Not for several tasks at once.

    `url` is the server's address; with a path, that of the webhook, else `/telephony/<carrier>` is asked. `public_url`
    is the address the carrier believes to be asking, which signatures cover: what `proxy_host` makes of it. With
    `stream` no webhook is asked.

    `rejected` lists what the real carrier would not have taken; `keys` what the agent pressed, `cleared_at` when it
    had its sound dropped, `said_from` when the first frame of the last words was sent.
    """

    def __init__(
        self,
        url: str,
        wire: PhoneWire,
        *,
        public_url: str = "",
        stream: WireStream | None = None,
        faults: PhoneFaults = NO_FAULTS,
        http: httpx.AsyncClient | None = None,
        record: bool = False,
        connect_secs: float = CONNECT_SECS,
    ) -> None:
        webhook_url = webhook_address(url, wire.name)
        super().__init__(
            _socket_url(webhook_url), frame_secs=wire.frame_secs or FRAME_SECS, record=record, connect_secs=connect_secs
        )
        self.wire = wire
        self.webhook_url = webhook_url
        self.rejected: list[str] = []
        self.keys = ""
        self.cleared_at: list[float] = []
        self._public_url = public_url
        self._faults = faults
        self._random = Random(faults.seed)
        self._http = http
        self._told = stream
        self._stream = WireStream(url="")
        self._sent = 0
        self._held: str | bytes | None = None  # to come after its successor
        self._left = ""  # why the carrier ends the call

    # ── the connection ──

    async def _open(self) -> ClientConnection:
        try:
            with anyio.fail_after(self._connect_secs):
                self._stream = self._told or await self._ask_webhook()
        except CallRefusedError as error:
            raise NotConnectedError(f"{self.webhook_url}: {error}") from error
        except CarrierRejectsError as error:
            self.rejected.append(str(error))
            raise NotConnectedError(
                f"{self.webhook_url}: {self.wire.name} would not take the answer: {error}"
            ) from error
        except TimeoutError as error:
            raise NotConnectedError(f"{self.webhook_url} did not answer within {self._connect_secs:g} s") from error
        except httpx.HTTPError as error:
            raise NotConnectedError(f"{self.webhook_url}: {error or type(error).__name__}") from error
        self.url = _moved(self._stream.url, self.url)
        self._headers = {**self._stream.headers, **self.wire.handshake(self._stream, at=time.time())}
        return await super()._open()

    async def _ask_webhook(self) -> WireStream:
        shown = _moved(self.webhook_url, self._public_url) if self._public_url else self.webhook_url
        request = self.wire.webhook(shown, at=time.time())
        if request is None:
            return WireStream(url=_moved(self.url, _socket_url(self._public_url)) if self._public_url else self.url)
        if self._http is not None:
            answer = await self._send_request(self._http, request)
        else:
            async with httpx.AsyncClient(verify=self.webhook_url.startswith("https:")) as http:
                answer = await self._send_request(http, request)
        if answer.status_code == 403:
            raise NotConnectedError(f"{self.webhook_url} answered 403: the webhook's proof was not accepted")
        return self.wire.stream(answer.status_code, answer.headers.get("content-type", ""), answer.content)

    async def _send_request(self, http: httpx.AsyncClient, request: WireRequest) -> httpx.Response:
        headers = dict(request.headers)
        if self._public_url:  # as a proxy passes it on
            headers["Host"] = urlsplit(request.url).netloc
        return await http.request(
            request.method, _moved(request.url, self.webhook_url), headers=headers, content=request.body, timeout=None
        )

    async def _begin(self) -> None:
        self._start = anyio.current_time()
        self.session_id = self.wire.facts.call_id
        self.audio_out = self.wire.audio
        opening = list(self.wire.opening(self._stream))
        try:
            if self._faults.stop_before_start:
                await self._send_stop(opening[:-1])
                return
            if self._faults.media_before_start:
                await self._socket.send(self.wire.media(self._silence()))
            for message in opening:
                await self._socket.send(message)
        except ConnectionClosed:
            pass  # the receiver sees it too, and knows the code

    async def _send_stop(self, messages: Sequence[str | bytes]) -> None:
        stop = self.wire.stop()
        for message in (*messages, *(() if stop is None else (stop,))):
            await self._socket.send(message)
        self._left = "stopped before its start"

    async def hang_up(self) -> None:
        """Put the receiver down: the carrier says so, and closes the socket."""
        await self.end(CALLER_HUNG_UP)

    async def end(self, reason: str) -> None:
        """End the stream as the carrier does, also when it was told so through its REST API."""
        if self.ended or self._left:
            return
        self._left = reason
        try:
            if (stop := self.wire.stop()) is not None:
                await self._socket.send(stop)
            await self._socket.close()
        except ConnectionClosed:
            return
        await self._until(lambda: self.ended is not None, LISTEN_SECS)

    # ── what the caller does ──

    async def say(self, sound: Clip | bytes) -> None:
        """Speak, in real time; return when the last frame of speech is sent. Silence follows by itself."""
        clip = sound if isinstance(sound, Clip) else Clip.of(sound)
        if clip.frames:
            self._clip = encoded(clip, self.wire.audio, self._frame_secs)
            self._position, self._speaking = 0, True
            await self._until(lambda: not self._speaking, clip.secs * 10 + LISTEN_SECS)

    async def type(self, text: str) -> None:
        raise ValueError("a phone has no keyboard for text")

    async def press(self, digits: str) -> None:
        """Press keys, 0-9, * and #."""
        for digit in digits:
            await self._put(self.wire.dtmf(digit))
        self.said_until = self.now()

    def heard_pcm(self) -> bytes:
        """All that was heard, pcm16 at the rate of `audio_out`, on the call's timeline. Needs `record`."""
        audio, track = self.audio_out, bytearray()
        for at, sound in self._pieces or ():
            missing = audio.size(at) - len(track)
            track += SILENCE[audio.encoding] * missing + sound
        return Converter(audio, AudioFormat(Encoding.PCM16, audio.rate_hz)).process(bytes(track))

    # ── the two tasks ──

    async def _send(self) -> None:
        silence = self._silence()
        next_at = anyio.current_time()
        try:
            while not self.ended and not self._left:
                await self._send_frame(silence)
                await self._play_out()
                next_at += self._frame_secs
                wait = next_at - anyio.current_time()
                self.late_secs = max(self.late_secs, -wait)
                if self._faults.jitter_ms:
                    wait += self._random.random() * self._faults.jitter_ms / 1000
                await anyio.sleep(max(wait, 0))
        except ConnectionClosed:
            pass  # the receiver sees it too, and knows the code

    async def _send_frame(self, silence: bytes) -> None:
        faults, frame = self._faults, silence
        if self._clip:
            if self._position == 0:
                self.said_from = self.now()
            frame = self._clip[self._position]
            self._position += 1
        self._sent += 1
        if faults.restart_stream_at is not None and self.now() >= faults.restart_stream_at:
            self._faults = replace(faults, restart_stream_at=None)
            await self._restart()
        if faults.silence_at is None or self.now() < faults.silence_at:
            await self._deliver(self.wire.media(frame))
        if self._clip and self._position == len(self._clip):
            self._clip, self._speaking, self.said_until = (), False, self.now()
            self._notify()

    async def _deliver(self, message: str | bytes) -> None:
        if self._faults.reorder and self._sent % 5 == 0:
            self._held = message
            return
        await self._socket.send(message)
        if self._held is not None:
            await self._socket.send(self._held)
            self._held = None

    async def _restart(self) -> None:
        self.wire.facts = replace(self.wire.facts, stream_id=f"{self.wire.facts.stream_id}-again")
        self._marks.clear()
        self._drop_sound()
        for message in self.wire.opening(self._stream):
            await self._socket.send(message)

    async def _play_out(self) -> None:
        """Echo the marks whose time has come, and see whether the answer is over."""
        now = self.now()
        while self._marks and self._marks[0][0] <= now:
            name = self._marks.popleft()[1]
            for _ in range(0 if self._faults.missing_marks else 2 if self._faults.doubled_marks else 1):
                if (echo := self.wire.mark_reached(name)) is not None:
                    await self._socket.send(echo)
        reply = self._current
        if reply is not None and now >= self._ear_until + REPLY_GAP_SECS:
            reply.ended_at, self._current = self._ear_until, None
            self._notify()

    async def _receive(self) -> None:
        try:
            while True:
                message = await self._socket.recv()
                if self._faults.half_open_at is not None and self.now() >= self._faults.half_open_at:
                    await anyio.sleep_forever()
                for meaning in self._understood(message):
                    await self._obey(meaning)
        except ConnectionClosed as error:
            close = error.rcvd
            cause, _, detail = (close.reason if close and not self._left else "").partition(": ")
            reason = self._left or cause
            self.ended = Ended(self.now(), reason, detail, close.code if close else 1006)
        if self._current is not None:
            self._current.ended_at = min(self._ear_until, self.now())
        self._notify()

    def _understood(self, message: str | bytes) -> Sequence[Meaning]:
        try:
            return self.wire.understand(message)
        except CarrierRejectsError as error:
            self.rejected.append(str(error))
            return ()

    async def _obey(self, meaning: Meaning) -> None:
        match meaning:
            case Sound(audio):
                if self._current is None:
                    self._current = Reply(len(self.replies) + 1)
                    self.replies[self._current.number] = self._current
                self._hear(audio)
            case MarkSet(name):
                self._marks.append((max(self.now(), self._ear_until), name))
            case Cleared():
                pending = [name for _, name in self._marks]
                self.cleared_at.append(self.now())
                self._drop_sound()
                for echo in self.wire.cleared(pending):
                    await self._put(echo)
            case Keys(digits):
                self.keys += digits
            case Answered(answer):
                await self._put(answer)
            case HungUp():
                self._left = "agent hung up"
                await self._socket.close()

    def _drop_sound(self) -> None:
        self._forget_sound()
        if self._current is not None:
            self._current.interrupted, self._current.ended_at, self._current = True, self.now(), None
        self._notify()

    async def _put(self, message: str | bytes) -> None:
        with suppress(ConnectionClosed):  # the receiver sees it too, and knows the code
            await self._socket.send(message)

    def _silence(self) -> bytes:
        return SILENCE[self.wire.audio.encoding] * self.wire.audio.size(self._frame_secs)


@lru_cache(maxsize=256)
def encoded(clip: Clip, audio: AudioFormat, frame_secs: float) -> tuple[bytes, ...]:
    """A clip as the carrier sends it: whole frames of its audio."""
    converter = Converter(PCM_16K, audio)
    sound = converter.process(b"".join(clip.frames)) + converter.flush()
    size = audio.size(frame_secs)
    frames = [sound[start : start + size] for start in range(0, len(sound), size)]
    return tuple(frame.ljust(size, SILENCE[audio.encoding]) for frame in frames)


def webhook_address(target: str, carrier: str) -> str:
    """The webhook at this server: "localhost:8080" becomes "http://localhost:8080/telephony/<carrier>".

    Raises:
        ValueError: not an address.
    """
    if "://" not in target:
        target = f"http://{target}"
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f'"{target}" is not an address; use http://HOST:PORT')
    path = parts.path if parts.path not in ("", "/") or parts.query else f"/telephony/{carrier}"
    return urlunsplit((parts.scheme, parts.netloc, path or "/", parts.query, ""))


def _socket_url(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(("wss" if parts.scheme == "https" else "ws", parts.netloc, SOCKET_PATH, "", ""))


def _moved(url: str, server: str) -> str:
    """The same path and query at another server."""
    parts, there = urlsplit(url), urlsplit(server)
    return urlunsplit((there.scheme, there.netloc, parts.path, parts.query, ""))
