"""Which call and which request the running task belongs to, for the logs."""

from contextvars import ContextVar

session_id: ContextVar[str] = ContextVar("session_id", default="")
request_id: ContextVar[str] = ContextVar("request_id", default="")
