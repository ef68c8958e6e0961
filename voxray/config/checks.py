"""What JSON Schema cannot say: settings that must agree with each other and with the world around them.

Offline: looks at files, the environment and the calendar only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from voxray.config.nearest import did_you_mean
from voxray.config.problems import Problem, format_path, quote
from voxray.config.resolve import FLAT_KEYS, Choice, provider_key
from voxray.config.schema import broken_options, config_key, is_secret
from voxray.config.secrets import expand, from_environment, reference, written
from voxray.config.settings import Settings
from voxray.registry import Registry
from voxray.specs import PeersSpec, RoomsSpec, Secret

RETIREMENT_NOTICE_DAYS = 30
WEBRTC = ("smallwebrtc", "both")  # values of `transport`
_LOOPBACK = ("localhost", "::1", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the checks may know."""

    settings: Settings
    choices: list[Choice[Any]]
    registry: Registry
    env: Mapping[str, str]
    today: date
    api_keys: frozenset[str] = field(default=frozenset())  # the names that the schema knows below `api_keys`

    def chosen(self, kind: str) -> Choice[Any] | None:
        return next((choice for choice in self.choices if choice.spec.kind == kind), None)


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem, and the keys it comes from: none of them may be at fault already."""

    problem: Problem
    keys: tuple[str, ...]


def check_everything(facts: Facts) -> Iterator[Finding]:
    """Voxray's own checks."""
    for check in (
        check_tls, check_exposure, check_turns, check_interruptions, check_stores, check_runner, check_choices,
        check_secrets, check_plain_text, check_plugins,
    ):  # fmt: skip
        yield from check(facts)


def is_public(host: str) -> bool:
    """Whether other machines reach a server that listens there."""
    return host not in _LOOPBACK and not host.startswith("127.")


def check_tls(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    files = ("tls_cert_file", "tls_key_file")
    for key in files:
        name = getattr(settings, key)
        if settings.tls_enable and not name:
            yield _error("tls_enable", "tls", f"TLS is on but {key} is not set", f"set {key}", key)
        elif name and not os.path.isfile(name):
            yield _error(key, "file", f"there is no file {quote(name)}")
        elif name and not os.access(name, os.R_OK):
            yield _error(key, "file", f"the file {quote(name)} cannot be read")
        elif name and not settings.tls_enable:
            yield _warning(
                key, "tls", "has no effect while tls_enable is false", "set tls_enable to true", "tls_enable"
            )


def check_exposure(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    if is_public(settings.host) and not settings.server_api_key:
        message = f"{quote(settings.host)} is open to other machines, and no key protects the server"
        yield _warning(
            "host", "exposed", message, "set server_api_key; serve refuses without --insecure", "server_api_key"
        )
    if settings.server_api_key and "*" in (settings.cors_allowed_origins or ()):
        message = 'any origin is allowed although server_api_key is set; "*" is never sent then'
        yield _warning("cors_allowed_origins", "cors", message, "list the origins", "server_api_key")
    for origin in settings.cors_allowed_origins or ():
        if origin != "*" and ("://" not in origin or origin.count("/") > 2):
            yield _warning("cors_allowed_origins", "cors", "an origin is written https://host, without a path")
    if settings.workers > 1 and settings.session_store == "memory":
        message = "the memory store is not shared between processes: sessions of POST /start and announced phone calls "
        message += "are known to one of them only"
        yield _warning("workers", "workers", message, 'set session_store to "redis"', "session_store")
    elif settings.workers > 1 and settings.transport in WEBRTC:
        message = (
            "a WebRTC connection is known to one process only: its candidates, and offers that go on with it, may "
        )
        message += "reach another one"
        remedy = "run one process for each address, and let a proxy keep a session's requests together"
        yield _warning("workers", "workers", message, remedy, "transport")


def check_turns(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    stt = facts.chosen("stt")
    if settings.turn_detection == "none":
        if settings.has_voice and stt is not None and not stt.spec.streaming and not settings.realtime_provider:
            message = f'"{stt.name}" recognises whole utterances and cannot tell where a turn ends'
            key = "turn_detection" if "turn_detection" in settings.given else (provider_key(settings, "stt") or "model")
            yield _warning(key, "turn-detection", message, 'set turn_detection to "silence"', "turn_detection")
        return
    if settings.turn_stop_secs >= settings.turn_max_duration_secs:
        message = f"a pause of {settings.turn_stop_secs:g} s never ends a turn of at most "
        message += f"{settings.turn_max_duration_secs:g} s (turn_max_duration_secs)"
        yield _warning("turn_stop_secs", "turn", message, "", "turn_max_duration_secs")
    if settings.vad_stop_secs > settings.turn_stop_secs:
        message = f"longer than turn_stop_secs ({settings.turn_stop_secs:g} s), inside which it runs"
        yield _warning("vad_stop_secs", "turn", message, "", "turn_stop_secs")
    if (
        "user_turn_stop_timeout_secs" in settings.given
        and settings.user_turn_stop_timeout_secs < settings.turn_stop_secs
    ):
        message = f"shorter than turn_stop_secs ({settings.turn_stop_secs:g} s), so it ends every turn"
        yield _warning("user_turn_stop_timeout_secs", "turn", message, "", "turn_stop_secs")


def check_interruptions(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    strategy = settings.interruption_strategy
    key = "interruption_strategy"
    if strategy in ("min_words", "keyword") and not settings.allow_interruptions:
        message = "has no effect while allow_interruptions is false"
        yield _warning(key, "interruption", message, "set allow_interruptions to true", "allow_interruptions")
    if strategy == "keyword" and not settings.interruption_phrases:
        remedy = 'list phrases in interruption_phrases, or use "min_words"'
        yield _warning(key, "interruption", "keyword needs phrases", remedy, "interruption_phrases")
    if strategy != "keyword" and settings.interruption_phrases:
        remedy = 'set interruption_strategy to "keyword"'
        yield _warning("interruption_phrases", "interruption", f'has no effect with strategy "{strategy}"', remedy, key)
    if strategy in ("", "none") and settings.min_words > 0:
        remedy = 'set interruption_strategy to "min_words"'
        yield _warning("min_words", "interruption", f'has no effect with strategy "{strategy}"', remedy, key)


def check_stores(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    transcripts, recording = settings.transcripts, settings.recording
    if transcripts.enable:
        missing = [name for name in ("driver", "dsn") if not getattr(transcripts, name)]
        if missing:
            message = f"transcripts enabled but {' and '.join(missing)} missing"
            yield _error(
                "transcripts",
                "transcripts",
                message,
                f"set transcripts.{missing[0]}",
                *(f"transcripts.{name}" for name in missing),
            )
    if recording.enable and recording.sink == "s3" and not recording.bucket:
        yield _error(
            "recording", "recording", "recording enabled but bucket missing", "set recording.bucket", "recording.bucket"
        )
    if settings.session_store == "redis" and not settings.redis_url:
        yield _error(
            "session_store", "redis", "session_store is redis but redis_url is empty", "set redis_url", "redis_url"
        )
    elif settings.session_store == "redis" and facts.chosen("session_store") is None:
        yield _error("session_store", "unknown-name", "voxray-redis is not installed", "pip install voxray-redis")
    if settings.redis_url and settings.session_store != "redis":
        message = f'has no effect while session_store is "{settings.session_store}"'
        yield _warning("redis_url", "redis", message, 'set session_store to "redis"', "session_store")


def check_runner(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    runner = settings.runner_transport
    if settings.transport in WEBRTC and not facts.registry.specs(PeersSpec):
        yield _error("transport", "unknown-name", "voxray-webrtc is not installed", "pip install voxray-webrtc")
    if settings.runner_port and not runner:
        yield _warning(
            "runner_port", "runner", "has no effect without runner_transport", "set port", "runner_transport"
        )
    if settings.dialin and "daily" not in runner:
        yield _warning("dialin", "runner", "needs runner_transport daily", "", "runner_transport")
    elif settings.dialin and not settings.daily_dialin_webhook_secret and not _signs_webhooks(facts):
        remedy = "set daily_dialin_hmac in api_keys, or daily_dialin_webhook_secret"
        yield _warning("dialin", "runner", "anybody may call the webhook", remedy, "daily_dialin_webhook_secret")


def _signs_webhooks(facts: Facts) -> bool:
    """Whether a room service's signature is checked."""
    optional = [
        (choice.name, secret)
        for choice in facts.choices
        if isinstance(choice.spec, RoomsSpec)
        for secret in choice.spec.secrets
        if not secret.required
    ]
    return any(_is_set(facts, provider, secret) for provider, secret in optional)


def check_choices(facts: Facts) -> Iterator[Finding]:
    """Do the chosen providers exist, take what they are given, have what they need, and stay?"""
    settings = facts.settings
    if settings.has_voice:
        for kind in ("stt", "llm", "tts"):
            if facts.chosen(kind) is None:
                yield from _no_provider(facts, kind)
    for choice in facts.choices:
        spec = choice.spec
        for option, key in FLAT_KEYS.get(spec.kind, {}).items():
            if key in settings.given and getattr(settings, key) != "" and option not in spec.options:
                yield _warning(key, "no-effect", f'{spec.kind} "{spec.name}" has no option "{option}"', "", key)
        for option in spec.options:
            if option not in choice.options:
                path = f"providers.{spec.name}.{spec.section}" if spec.section else f"plugin_options.{spec.name}"
                message = f'option "{option}" must be set for {spec.kind} "{spec.name}"'
                yield _error(path, "required", message)
        yield from _retirement(choice, facts.today)


def _no_provider(facts: Facts, kind: str) -> Iterator[Finding]:
    key = provider_key(facts.settings, kind)
    if key == f"{kind}_provider":
        return  # the schema said so already
    name = facts.settings.provider or "openai"
    offered = sorted(row.spec.name for row in facts.registry.registered() if row.spec.kind == kind)
    others = {row.spec.kind for row in facts.registry.registered() if row.spec.name == name}
    if key and others:
        remedy = f"set {kind}_provider" + (f" to one of: {', '.join(offered)}" if offered else "")
        yield _error(key, "unknown-name", f'"{name}" offers no {kind}', remedy, f"{kind}_provider")
    elif not key:
        given = next(
            name for name in ("model", "stt_provider", "llm_provider", "tts_provider") if name in facts.settings.given
        )
        message = f'{kind}_provider is not set and the default "openai" is not installed'
        remedy = f"set {kind}_provider, or pip install voxray-openai"
        yield _error(given, "unknown-name", message, remedy, f"{kind}_provider", "provider")


def _retirement(choice: Choice[Any], today: date) -> Iterator[Finding]:
    spec = choice.spec
    default = spec.options.get("model", {}).get("default")
    try:
        day = date.fromisoformat(spec.retires)
    except (ValueError, TypeError):
        return
    if default is None or choice.options.get("model") != default:
        return
    left = (day - today).days
    if left > RETIREMENT_NOTICE_DAYS:
        return
    when = f"was switched off on {day}" if left < 0 else f"will be switched off on {day}"
    message = f'{spec.kind} "{spec.name}": the default model "{default}" {when}'
    yield _warning("", "retires", message, "choose another model", *(f"{spec.kind}_provider", "provider"))


def check_secrets(facts: Facts) -> Iterator[Finding]:
    """Keys that are not there. Looks at the environment only: no vault is asked."""
    seen: set[tuple[str, str]] = set()
    for choice in facts.choices:
        for secret in choice.spec.secrets:
            if not secret.required or secret.default or (choice.name, secret.key) in seen:
                continue
            seen.add((choice.name, secret.key))
            if _is_set(facts, choice.name, secret):
                continue
            texts = written(facts.settings, choice.name, secret)
            name = next((reference(text) for text in texts if reference(text)), secret.env)
            what = "key" if secret.key == "api_key" else secret.key
            remedy = f"set {name} or providers.{choice.name}.{secret.key}"
            yield _warning(
                "", "secret", f"{choice.name}: no {what} yet", remedy, "api_keys", f"providers.{choice.name}"
            )


def _is_set(facts: Facts, provider: str, secret: Secret) -> bool:
    lookup = from_environment(facts.env)
    texts = written(facts.settings, provider, secret)
    return any(expand(text, lookup) for text in texts) or any(lookup(name) for name in (secret.env, *secret.also))


def check_plain_text(facts: Facts) -> Iterator[Finding]:
    """Secrets that stand in the file itself."""
    settings = facts.settings
    secrets = [(row.spec.name, secret) for row in facts.registry.registered() for secret in row.spec.secrets]
    known: set[str] = set(facts.api_keys)
    for provider, secret in secrets:
        name = config_key(provider, secret)
        known.add(name)
        own = settings.providers.get(provider, {}).get(secret.key, "")
        if is_secret(secret):
            yield from _plain(("providers", provider, secret.key), own, secret.env)
    env_names = {config_key(provider, secret): secret.env for provider, secret in secrets}
    harmless = {config_key(provider, secret) for provider, secret in secrets if not is_secret(secret)}
    for name, text in settings.api_keys.items():
        if name not in known:
            hint = did_you_mean(name, known)
            yield _warning_at(("api_keys", name), "unknown-name", "no installed provider reads this key", hint)
        elif name not in harmless and not name.startswith(("google_", "aws_region", "daily_room")):
            yield from _plain(("api_keys", name), text, env_names.get(name, ""))


def _plain(path: tuple[str, ...], text: object, env: str) -> Iterator[Finding]:
    if isinstance(text, str) and text and not reference(text):
        remedy = f'write "${{{env or "NAME"}}}"' + (f", or leave it out and set {env}" if env else " and set NAME")
        yield _warning_at(path, "plain-text", "secret in plain text", remedy)


def check_plugins(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    for name in settings.plugin_options:
        if name not in settings.plugins:
            message = f"has no effect: {quote(name)} is not in plugins"
            yield _warning_at(("plugin_options", name), "no-effect", message, f"add {quote(name)} to plugins")
    for broken in facts.registry.broken:
        message = f"{broken.distribution} could not be loaded: {broken.error}"
        yield _warning("", "broken-plugin", " ".join(message.split())[:300])
    for spec, option in broken_options(facts.registry):
        message = f'the schema of option "{option}" of {spec.kind} "{spec.name}" is broken, so it is not checked'
        yield _warning("", "broken-plugin", message, "tell the author of the plugin")


def hook_findings(registry: Registry, settings: Settings) -> Iterator[Finding]:
    """What the plugins' hook `voxray_check_config` reports."""
    answers: Iterable[Iterable[Problem] | None] = registry.manager.hook.voxray_check_config(settings=settings)
    for answer in answers:
        for problem in answer or ():
            yield Finding(problem, ())


def _error(key: str, rule: str, message: str, remedy: str = "", *related: str) -> Finding:
    return Finding(Problem(_path(key), message, "error", rule=rule, remedy=remedy), (key, *related))


def _warning(key: str, rule: str, message: str, remedy: str = "", *related: str) -> Finding:
    return Finding(Problem(_path(key), message, "warning", rule=rule, remedy=remedy), (key, *related))


def _warning_at(path: tuple[str, ...], rule: str, message: str, remedy: str = "") -> Finding:
    return Finding(Problem(format_path(path), message, "warning", rule=rule, remedy=remedy), (".".join(path),))


def _path(key: str) -> str:
    return f"$.{key}" if key else ""
