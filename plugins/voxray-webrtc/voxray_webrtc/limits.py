"""How long we wait for peers, and for how many."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    unfinished: int = 64  # connections that may be on their way at a time
    stun_secs: float = 2.0  # for the servers that tell us our address; the answer waits for them
    stun_again_secs: float = 60.0  # a server that did not answer is not asked again before
    connect_secs: float = 30.0  # from our answer to the first encrypted byte
    channel_secs: float = 10.0  # for a data channel to open
    answer_secs: float = 60.0  # for the server to answer a call that is connected
    check_secs: float = 1.0  # between looks at all connections
    ping_secs: float = 3.0  # a client that pings does so every second
    silent_secs: float = 8.0  # even a peer without sound checks the connection every 6 s
    left_secs: float = 2.0  # after a goodbye; a client that starts again says it, too
    grace_secs: float = 15.0  # for a client whose connection was lost
