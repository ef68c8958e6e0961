"""Offers read and answers written: the part of SDP (RFC 8866, 8829) that a call needs. Pure.

A call has one transport for everything (BUNDLE), one line of sound in Opus, one of messages. All other lines are
answered as what they are to us: inactive where they share the transport, refused where they do not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_BYTES = 64 * 1024
MAX_LINES = 32  # of media
MAX_CANDIDATES = 64
ICE_NAME = re.compile(r"[A-Za-z0-9+/=_-]{4,256}")
ICE_PASSWORD = re.compile(r"[A-Za-z0-9+/=_-]{22,256}")
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,32}")
FORMAT = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~/-]{1,32}")
HASHES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}  # bytes
FINGERPRINT = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*")
RTPMAP = re.compile(r"(\d{1,3}) ([A-Za-z0-9._-]{1,32})/(\d{1,6})(?:/(\d{1,2}))?", re.ASCII)
OPUS = ("opus", 48_000)
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
MIRRORED = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
SETUPS = {"actpass": "active", "active": "passive", "passive": "active"}
SCTP_PROFILES = ("UDP/DTLS/SCTP", "TCP/DTLS/SCTP", "DTLS/SCTP")
DEFAULT_MESSAGE_BYTES = 65_536  # RFC 8841: what is meant by saying nothing


@dataclass(slots=True)
class _Line:
    """A section of media as it was written. `values` has the first value of each attribute."""

    kind: str
    port: int
    profile: str
    formats: list[str]
    values: dict[str, str] = field(default_factory=dict)
    fingerprints: list[tuple[str, str]] = field(default_factory=list)
    candidates: list[str] = field(default_factory=list)
    rtpmaps: dict[str, str] = field(default_factory=dict)
    direction: str = ""

    @property
    def mid(self) -> str:
        return self.values.get("mid", "")

    @property
    def refused(self) -> bool:
        """The peer itself does not want it; a line of a bundle may have port 0 and still be meant."""
        return self.port == 0 and "bundle-only" not in self.values


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedLine:
    """One line, as much as the answer must repeat. `use`: "audio", "messages", "idle" or "refused"."""

    kind: str
    profile: str
    mid: str
    use: str
    formats: tuple[str, ...] = ()
    rtpmap: str = ""
    direction: str = "inactive"  # ours


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerDescription:
    """What an offer says of the peer and wants of us. `setup` is our part in DTLS, "active" or "passive"."""

    ice_name: str
    ice_password: str = field(repr=False)
    ice_lite: bool
    fingerprints: tuple[tuple[str, str], ...]
    setup: str
    candidates: tuple[str, ...]
    lines: tuple[OfferedLine, ...]
    bundle: tuple[str, ...]
    payload_type: int | None  # of Opus; None: no sound in this call
    hears: bool  # the peer wants our sound
    sctp_port: int | None  # None: no messages
    message_bytes: int  # what the peer takes at most; 0: no limit


def parse_offer(text: str) -> PeerDescription:
    """What an offer says.

    Raises:
        ValueError: it cannot be used; the text says why and repeats nothing of it.
    """
    if len(text) > MAX_BYTES:
        raise ValueError("the SDP is too long")
    session, lines = _sections(text)
    bundle = _bundle(session, lines)
    carrier = _carrier(lines, bundle)
    together = [line for line in lines if line is carrier or (line.mid and line.mid in bundle)]
    offered, audio, messages = _lines(lines, together)
    if audio is None and messages is None:
        raise ValueError("neither sound in Opus nor a data channel is offered")
    name, password = (carrier.values.get(key) or session.values.get(key, "") for key in ("ice-ufrag", "ice-pwd"))
    if not ICE_NAME.fullmatch(name) or not ICE_PASSWORD.fullmatch(password):
        raise ValueError("ice-ufrag or ice-pwd is missing or wrong")
    candidates = [text for line in together for text in line.candidates]
    return PeerDescription(
        ice_name=name,
        ice_password=password,
        ice_lite="ice-lite" in session.values,
        fingerprints=_fingerprints(carrier.fingerprints or session.fingerprints),
        setup=_setup(carrier.values.get("setup") or session.values.get("setup", "actpass")),
        candidates=tuple(dict.fromkeys(candidates))[:MAX_CANDIDATES],
        lines=tuple(offered),
        bundle=tuple(line.mid for line in together if line.mid and not line.refused),
        payload_type=None if audio is None else _opus(audio),
        hears=audio is not None and audio.direction in ("sendrecv", "recvonly"),
        sctp_port=None if messages is None else _number(messages.values.get("sctp-port", "5000"), 65_535, "sctp-port"),
        message_bytes=DEFAULT_MESSAGE_BYTES
        if messages is None
        else _number(messages.values.get("max-message-size", str(DEFAULT_MESSAGE_BYTES)), 2**32, "max-message-size"),
    )


def _sections(text: str) -> tuple[_Line, list[_Line]]:
    rows = text.splitlines()
    if not rows or rows[0].strip() != "v=0":
        raise ValueError("this is no SDP: it does not begin with v=0")
    session = current = _Line("session", 0, "", [])
    lines: list[_Line] = []
    for row in rows:
        kind, equals, value = row.rstrip().partition("=")
        if not equals or len(kind) != 1:
            if row.strip():
                raise ValueError("a line is not of the form letter=value")
        elif kind == "m":
            if len(lines) >= MAX_LINES:
                raise ValueError(f"more than {MAX_LINES} lines of media")
            current = _media(value)
            lines.append(current)
        elif kind == "a":
            _attribute(current, value)
    for line in lines:
        line.direction = line.direction or session.direction or "sendrecv"
    return session, lines


def _media(value: str) -> _Line:
    parts = value.split()
    if len(parts) < 4 or not TOKEN.fullmatch(parts[0]) or not FORMAT.fullmatch(parts[2]):
        raise ValueError("a line of media is malformed")
    port = _number(parts[1].partition("/")[0], 65_535, "the port of a line of media")
    if not all(FORMAT.fullmatch(part) for part in parts[3:]):
        raise ValueError("a line of media is malformed")
    return _Line(parts[0], port, parts[2], parts[3:])


def _attribute(line: _Line, value: str) -> None:
    name, _, rest = value.partition(":")
    rest = rest.strip()
    if name in DIRECTIONS:
        line.direction = name
    elif name == "fingerprint":
        algorithm, _, digest = rest.partition(" ")
        line.fingerprints.append((algorithm.lower(), digest.strip()))
    elif name == "candidate":
        line.candidates.append(rest)
    elif name == "rtpmap":
        line.rtpmaps.setdefault(rest.partition(" ")[0], rest)
    elif name == "group":
        if rest.startswith("BUNDLE"):
            line.values.setdefault("bundle", rest)
    else:
        line.values.setdefault(name, rest)


def _bundle(session: _Line, lines: list[_Line]) -> list[str]:
    mids = [line.mid for line in lines if line.mid]
    if len(set(mids)) != len(mids) or not all(TOKEN.fullmatch(mid) for mid in mids):
        raise ValueError("a mid is malformed or used twice")
    named = session.values.get("bundle", "").split()[1:]
    if any(mid not in mids for mid in named):
        raise ValueError("the BUNDLE group names a mid that no line has")
    return named


def _carrier(lines: list[_Line], bundle: list[str]) -> _Line:
    """The line whose transport is used for all."""
    wanted = [line for line in lines if not line.refused]
    by_mid = {line.mid: line for line in wanted if line.mid}
    first = next((by_mid[mid] for mid in bundle if mid in by_mid), None)
    if first is None:
        first = next((line for line in wanted if _opus(line) is not None or _carries_messages(line)), None)
    if first is None:
        raise ValueError("neither sound in Opus nor a data channel is offered")
    return first


def _lines(lines: list[_Line], together: list[_Line]) -> tuple[list[OfferedLine], _Line | None, _Line | None]:
    audio = messages = None
    offered = []
    for line in lines:
        use, direction = "refused", "inactive"
        if any(line is one for one in together) and not line.refused:
            if messages is None and _carries_messages(line):
                use, messages = "messages", line
            elif line.kind in ("audio", "video") and "rtcp-mux" not in line.values:
                raise ValueError("rtcp-mux is required")
            elif audio is None and _opus(line) is not None:
                use, audio, direction = "audio", line, MIRRORED[line.direction]
            elif line.kind in ("audio", "video"):
                use = "idle"
        offered.append(_offered(line, use, direction))
    return offered, audio, messages


def _offered(line: _Line, use: str, direction: str) -> OfferedLine:
    chosen = str(_opus(line)) if use == "audio" else line.formats[0]
    return OfferedLine(
        kind=line.kind,
        profile=line.profile,
        mid=line.mid,
        use=use,
        formats=(chosen,),
        rtpmap=line.rtpmaps[chosen] if RTPMAP.fullmatch(line.rtpmaps.get(chosen, "")) else "",
        direction=direction,
    )


def _carries_messages(line: _Line) -> bool:
    return line.kind == "application" and line.profile in SCTP_PROFILES and line.formats == ["webrtc-datachannel"]


def _opus(line: _Line) -> int | None:
    """The payload type of Opus in this line, None if it has none."""
    if line.kind != "audio" or not line.profile.endswith(("SAVPF", "SAVP")):
        return None
    for name in line.formats:
        found = RTPMAP.fullmatch(line.rtpmaps.get(name, ""))
        if found and (found[2].lower(), int(found[3])) == OPUS and found[1] == name and int(name) < 128:
            return int(name)
    return None


def _fingerprints(given: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    usable = tuple(
        (algorithm, digest)
        for algorithm, digest in given
        if FINGERPRINT.fullmatch(digest) and len(digest) == 3 * HASHES.get(algorithm, 0) - 1
    )
    if not usable:
        raise ValueError("there is no fingerprint of SHA-256, SHA-384 or SHA-512")
    return usable


def _setup(offered: str) -> str:
    if offered not in SETUPS:
        raise ValueError("setup must be actpass, active or passive")
    return SETUPS[offered]


def _number(text: str, most: int, what: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > most:
        raise ValueError(f"{what} is not a number up to {most}")
    return int(text)


# ── the answer ──


@dataclass(frozen=True, slots=True, kw_only=True)
class OurSide:
    """What the answer says of us. `candidates` are the values of `a=candidate` lines."""

    ice_name: str
    ice_password: str = field(repr=False)
    fingerprints: Sequence[tuple[str, str]]
    candidates: Sequence[str]
    ssrc: int
    cname: str
    message_bytes: int
    session: int  # a number for the origin, raised with each answer of a connection
    version: int = 1


def write_answer(offer: PeerDescription, ours: OurSide) -> str:
    """The answer to an offer."""
    rows = ["v=0", f"o=- {ours.session} {ours.version} IN IP4 127.0.0.1", "s=-", "t=0 0"]
    if offer.bundle:
        rows.append(f"a=group:BUNDLE {' '.join(offer.bundle)}")
    rows.append("a=msid-semantic: WMS *")
    transport = _transport(offer, ours)
    for line in offer.lines:
        rows += _answered(line, ours, transport)
    return "\r\n".join(rows) + "\r\n"


def _transport(offer: PeerDescription, ours: OurSide) -> list[str]:
    return [
        *(f"a=candidate:{candidate}" for candidate in ours.candidates),
        "a=end-of-candidates",
        f"a=ice-ufrag:{ours.ice_name}",
        f"a=ice-pwd:{ours.ice_password}",
        *(f"a=fingerprint:{algorithm} {digest}" for algorithm, digest in ours.fingerprints),
        f"a=setup:{offer.setup}",
    ]


def _answered(line: OfferedLine, ours: OurSide, transport: list[str]) -> list[str]:
    port = 0 if line.use == "refused" else 9
    rows = [f"m={line.kind} {port} {line.profile} {' '.join(line.formats)}", "c=IN IP4 0.0.0.0"]
    if line.mid:
        rows.append(f"a=mid:{line.mid}")
    if line.use == "refused":
        return [*rows, "a=inactive"]
    rows += transport
    if line.use == "messages":
        return [*rows, "a=sctp-port:5000", f"a=max-message-size:{ours.message_bytes}"]
    rows += [f"a={line.direction}", "a=rtcp-mux"]
    if line.rtpmap:
        rows.append(f"a=rtpmap:{line.rtpmap}")
    if line.use == "audio":
        rows.append(f"a=fmtp:{line.formats[0]} minptime=10")
        if line.direction in ("sendrecv", "sendonly"):
            rows += [f"a=msid:voxray {ours.cname}", f"a=ssrc:{ours.ssrc} cname:{ours.cname}"]
    return rows
