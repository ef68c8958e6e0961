"""Offers as browsers write them, and as nobody should."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from voxray_webrtc.connection import parse_candidate
from voxray_webrtc.sdp import MAX_BYTES, OurSide, parse_offer, write_answer

# Composed in the manner of Chromium's offer for the official small-webrtc client: sound, a camera, a data channel.
TRANSPORT = """c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Yq1x
a=ice-pwd:R5fIsqFp2k0Xo8rRrT6oZb1c
a=ice-options:trickle
a=fingerprint:sha-256 {fingerprint}
a=setup:actpass
""".format(fingerprint=":".join(["AB"] * 32))
HEAD = "v=0\no=- 4611733 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE {bundle}\na=msid-semantic: WMS\n"
AUDIO = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\n"
    + TRANSPORT
    + """a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:- 5a4ef1c7
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:1386 cname:wX4
"""
)
VIDEO = (
    "m=video 9 UDP/TLS/RTP/SAVPF 96 97\n"
    + TRANSPORT
    + "a=mid:1\na=sendrecv\na=rtcp-mux\na=rtpmap:96 VP8/90000\na=rtpmap:97 rtx/90000\na=fmtp:97 apt=96\n"
)
DATA = (
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\n"
    + TRANSPORT
    + "a=mid:2\na=sctp-port:5000\na=max-message-size:262144\n"
)
CANDIDATES = """a=candidate:1 1 udp 2113937151 3b2f0c1e.local 54321 typ host generation 0
a=candidate:2 1 udp 2113937151 192.0.2.7 54321 typ host generation 0 network-cost 999
a=candidate:3 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active
a=candidate:4 1 udp 1677729535 198.51.100.4 61000 typ srflx raddr 0.0.0.0 rport 0
"""


def offer(*sections: str, bundle: str = "0 1 2") -> str:
    return (HEAD.format(bundle=bundle) + "".join(sections)).replace("\n", "\r\n")


WHOLE = offer(AUDIO + CANDIDATES, VIDEO, DATA)
OURS = OurSide(
    ice_name="abcd",
    ice_password="x" * 22,
    fingerprints=[("sha-256", "00:11")],
    candidates=["1 1 udp 2130706431 127.0.0.1 5000 typ host"],
    ssrc=7,
    cname="us",
    message_bytes=1000,
    session=1,
)


def answered(sdp: str) -> list[str]:
    """Kind, port and direction of each line of the answer."""
    rows: list[str] = []
    for row in write_answer(parse_offer(sdp), OURS).splitlines():
        if row.startswith("m="):
            rows.append(" ".join(row[2:].split()[:2]))
        elif rows and row[2:] in ("sendrecv", "sendonly", "recvonly", "inactive"):
            rows[-1] += f" {row[2:]}"
    return rows


def test_an_offer_of_the_official_client_is_understood() -> None:
    found = parse_offer(WHOLE)
    assert (found.ice_name, found.ice_password) == ("Yq1x", "R5fIsqFp2k0Xo8rRrT6oZb1c")
    assert (found.payload_type, found.sctp_port, found.message_bytes, found.setup) == (111, 5000, 262_144, "active")
    assert found.bundle == ("0", "1", "2")
    assert len(found.candidates) == 4


def test_sound_is_answered_in_opus_and_the_camera_costs_nothing() -> None:
    assert answered(WHOLE) == ["audio 9 sendrecv", "video 9 inactive", "application 9"]
    text = write_answer(parse_offer(WHOLE), OURS)
    assert "a=rtpmap:111 opus/48000/2\r\n" in text
    assert "a=group:BUNDLE 0 1 2\r\n" in text
    assert text.count("a=candidate:1 1 udp 2130706431 127.0.0.1 5000 typ host\r\n") == 3
    assert text.count("a=setup:active\r\n") == 3


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("sendrecv", "sendrecv"), ("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")],
)
def test_directions_are_mirrored(theirs: str, ours: str) -> None:
    sdp = offer(AUDIO.replace("a=sendrecv", f"a={theirs}"), bundle="0")
    assert answered(sdp) == [f"audio 9 {ours}"]
    assert parse_offer(sdp).hears is (ours in ("sendrecv", "sendonly"))


def test_one_of_several_lines_of_sound_is_used() -> None:
    second = AUDIO.replace("a=mid:0", "a=mid:1")
    assert answered(offer(AUDIO, second, bundle="0 1")) == ["audio 9 sendrecv", "audio 9 inactive"]


def test_lines_outside_the_bundle_are_refused() -> None:
    assert answered(offer(AUDIO, VIDEO, bundle="0")) == ["audio 9 sendrecv", "video 0 inactive"]


def test_an_offer_without_a_bundle_uses_its_first_line() -> None:
    sdp = offer(VIDEO, AUDIO).replace("a=group:BUNDLE 0 1 2\r\n", "")
    assert answered(sdp) == ["video 0 inactive", "audio 9 sendrecv"]


def test_messages_alone_are_a_call_too() -> None:
    assert answered(offer(DATA, bundle="2")) == ["application 9"]
    assert parse_offer(offer(DATA, bundle="2")).payload_type is None


def test_a_line_that_the_peer_gave_up_is_refused() -> None:
    given_up = VIDEO.replace("m=video 9", "m=video 0").replace("a=rtcp-mux\n", "")
    assert answered(offer(AUDIO, given_up, bundle="0")) == ["audio 9 sendrecv", "video 0 inactive"]


def test_transport_parameters_may_stand_before_all_lines() -> None:
    session = TRANSPORT.split("\n", 2)[2]
    bare = AUDIO.replace(TRANSPORT, "c=IN IP4 0.0.0.0\n")
    assert parse_offer(offer(session, bare, bundle="0")).ice_name == "Yq1x"


@pytest.mark.parametrize(("setup", "ours"), [("actpass", "active"), ("active", "passive"), ("passive", "active")])
def test_the_role_in_dtls_is_what_the_offer_leaves(setup: str, ours: str) -> None:
    assert parse_offer(WHOLE.replace("setup:actpass", f"setup:{setup}")).setup == ours


@pytest.mark.parametrize(
    "sdp",
    [
        "",
        "hello",
        "v=0",
        "v=0\r\nm=audio\r\n",
        offer(VIDEO, bundle="1"),
        offer(AUDIO.replace("opus/48000/2", "pcm/48000"), bundle="0"),
        offer(AUDIO.replace("a=ice-ufrag:Yq1x\n", ""), bundle="0"),
        offer(AUDIO.replace("sha-256", "sha-1"), bundle="0"),
        offer(AUDIO.replace("AB:AB", "AB"), bundle="0"),
        offer(AUDIO.replace("setup:actpass", "setup:holdconn"), bundle="0"),
        offer(AUDIO.replace("a=rtcp-mux\n", ""), bundle="0"),
        offer(AUDIO, AUDIO, bundle="0"),
        offer(AUDIO, bundle="0 9"),
        offer(*[AUDIO.replace("a=mid:0", f"a=mid:{n}") for n in range(40)], bundle="0"),
        offer(DATA.replace("sctp-port:5000", "sctp-port:99999"), bundle="2"),
        "v=0\r\n" + "a=x\r\n" * MAX_BYTES,
    ],
    ids=range(16),
)
def test_what_cannot_be_used_is_refused_with_a_reason(sdp: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as refused:
        parse_offer(sdp)
    assert len(str(refused.value)) < 100


def test_mutated_offers_raise_nothing_but_value_errors() -> None:
    randomly = random.Random(3)
    used = 0
    for _ in range(4000):
        text = _mutated(randomly, WHOLE)
        try:
            found = parse_offer(text)
        except ValueError:
            continue
        write_answer(found, OURS).encode()
        for candidate in found.candidates:
            parse_candidate(candidate)
        used += 1
    assert 400 < used < 3900


def _mutated(randomly: random.Random, text: str) -> str:
    rows = text.split("\r\n")
    for _ in range(randomly.choice([1, 1, 2, 5])):
        at = randomly.randrange(len(rows))
        row = rows[at]
        spot = randomly.randrange(len(row) + 1)
        rows[at] = randomly.choice(
            [
                row[:spot]
                + chr(randomly.choice([0, 10, 32, 45, 57, 58, 61, 65, 0x2028, 0xD800, 0x1F600]))
                + row[spot:],
                row[:spot],
                row[spot:],
                row + row,
                row.replace("1", str(randomly.choice([-1, 0, 2**32, 10**40, "²"]))),
                rows[randomly.randrange(len(rows))],
                "",
            ]
        )
    return "\r\n".join(rows)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("candidate:2 1 udp 2113937151 192.0.2.7 54321 typ host generation 0", "192.0.2.7"),
        ("a=candidate:2 1 UDP 2113937151 192.0.2.7 54321 typ srflx raddr 0.0.0.0 rport 0", "192.0.2.7"),
        ("candidate:2 1 udp 2113937151 2001:db8::1 54321 typ host", "2001:db8::1"),
        ("candidate:2 1 udp 2113937151 192.0.2.7 54321 typ prflx", "192.0.2.7"),
    ],
)
def test_candidates_are_read(text: str, address: str) -> None:
    found = parse_candidate(text)
    assert found is not None
    assert (found.ip, found.port) == (address, 54_321)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "candidate:1 1 udp 2113937151 3b2f0c1e.local 54321 typ host",
        "candidate:1 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active",
        "candidate:1 2 udp 2113937151 192.0.2.7 54321 typ host",
        "candidate:1 1 udp 2113937151 192.0.2.7 0 typ host",
        "candidate:1 1 udp 2113937151 192.0.2.7 65536 typ host",
        "candidate:1 1 udp 2113937151 0.0.0.0 5000 typ host",
        "candidate:1 1 udp 2113937151 224.0.0.1 5000 typ host",
        "candidate:1 1 udp 2113937151 1.2.3 5000 typ host",
        "candidate:1 1 udp 99999999999 192.0.2.7 5000 typ host",
        "nonsense",
        "\0" * 1000,
    ],
)
def test_odd_candidates_are_skipped(text: str) -> None:
    assert parse_candidate(text) is None


def test_an_answer_repeats_nothing_that_could_be_a_line_of_its_own() -> None:
    found = replace(parse_offer(WHOLE))
    assert all("\n" not in part for line in found.lines for part in (line.kind, line.mid, line.rtpmap, line.profile))
