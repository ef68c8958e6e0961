"""Everything Voxray raises on purpose. Messages say where, what and what to do; never a secret, never what was said."""

from __future__ import annotations


class VoxrayError(Exception):
    """Root of all errors of this program."""


class ConfigError(VoxrayError):
    """A configuration cannot be used. `problems` holds every finding, each printable as one line."""

    def __init__(self, message: str, problems: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class PluginError(VoxrayError):
    """A plugin, or the lack of one, stands in the way."""


class BrokenPluginError(PluginError):
    """The configuration uses a plugin that could not be loaded."""


class DuplicateSpecError(PluginError):
    """Two plugins register the same kind and name."""


class UnknownSpecError(PluginError):
    """No plugin registers this kind and name; the text suggests what to do."""


class ProviderError(VoxrayError):
    """A vendor did not do what it was asked.

    `provider` is the name in the configuration, `retryable` whether another try may help, `status` the HTTP status or
    close code if there was one, `retry_after_secs` how long the vendor asked us to wait.
    """

    retryable = False

    def __init__(
        self,
        provider: str,
        message: str,
        *,
        status: int | None = None,
        retry_after_secs: float | None = None,
    ) -> None:
        super().__init__(f"{provider}: {message}")
        self.provider = provider
        self.status = status
        self.retry_after_secs = retry_after_secs


class ProviderUnavailable(ProviderError):
    """Network, timeout, 408, 409, 429, 5xx: another try may help."""

    retryable = True


class ProviderRefused(ProviderError):
    """Key, quota, model or request not accepted: another try cannot help."""


class ProviderProtocolError(ProviderError):
    """The vendor answered something that is not in its protocol."""


class StoreError(VoxrayError):
    """A session store, transcript store or recording sink failed."""


class SessionError(VoxrayError):
    """A call cannot go on."""


class SttStalledError(SessionError):
    """The recogniser takes no more audio: the backlog is full."""


class TransportFailedError(SessionError):
    """The client's connection broke or does not take what we send."""


class ClientIdleError(TransportFailedError):
    """Nothing came from the client for the idle limit."""
