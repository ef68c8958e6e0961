"""What the page about the wire says of clients' messages. `tools.reference` compares it with the code that reads them."""

from __future__ import annotations

INTRODUCTION = """# The wire of /ws

Text messages are `{"type": "…", "data": {…}}`; the fields may also stand beside `type`, without `data`. Binary messages
are audio: PCM, signed 16-bit little-endian, mono, from the client at 16000 Hz, from the server at the rate that the first
message, `StartFrame`, announces (24000 Hz).

A message that cannot be understood is answered with an `ErrorFrame` (`fatal` false, `processor` "client") and the call
goes on; after 100 of them the server closes with code 1008. A client must drop the audio it has buffered when an
`InterruptionFrame` arrives. The last message is `EndFrame` with the reason; close codes are 1000 (over), 1001 (the server
is stopping), 1011 (an error of ours) and 1013 (full, try again later).
"""

_TEXT = "`text`, `skip_tts`?"
_MESSAGES = "`messages` (`role`, `content`, …), `run_llm`?"
_AUDIO = "`audio` (base64), `sample_rate`? 16000, `num_channels`? 1"
_NONE = "No effect; accepted because the protocol allows it."

# type → fields, effect
CLIENT: dict[str, tuple[str, str]] = {
    "TranscriptionFrame": ("`text`, `finalized`?, `run`?, `skip_tts`?", "A typed turn of the user; it is answered."),
    "TextFrame": (_TEXT, "The agent says this."),
    "LLMTextFrame": (_TEXT, "The agent says this."),
    "TTSSpeakFrame": (_TEXT, "The agent says this."),
    "LLMRunFrame": ("", "The model answers the conversation as it stands."),
    "LLMContextFrame": ("`context` (`messages`, `tools`?, `tool_choice`?)", "Replaces the conversation and the tools."),
    "LLMMessagesUpdateFrame": (_MESSAGES, "Replaces the conversation; with `run_llm` it is answered at once."),
    "LLMMessagesAppendFrame": (_MESSAGES, "Adds to the conversation; with `run_llm` it is answered at once."),
    "context": ("`messages`, `run`?", "Replaces the conversation; with `run` it is answered at once."),
    "LLMSetToolsFrame": ("`tools`, `tool_choice`?", "Tools that the client runs, in OpenAI's form."),
    "LLMSetToolChoiceFrame": ("`tool_choice`", "`none`, `auto`, `required` or the name of a tool."),
    "FunctionCallResultFrame": ("`tool_call_id`, `result`, `failed`?", "The result of a tool that the client ran."),
    "TransportMessageFrame": ("`message` (`type`?, `id`?, …)", "A message for the application."),
    "MessageFrame": ("`message` (`type`?, `id`?, …)", "The same."),
    "RTVIClientMessageFrame": ("`type`, `msg_id`?, `data`?", "A message for the application."),
    "InterruptionFrame": ("", "The agent falls silent."),
    "EndFrame": ("`reason`?", "Ends the call."),
    "CancelFrame": ("`reason`?", "Ends the call."),
    "InputDTMFFrame": ("`digit`: 0-9, * or #", "A key was pressed."),
    "MarkFrame": ("`name`", "Everything sent before the mark of this name has been played."),
    "VADParamsUpdateFrame": ("`stop_secs`?, `start_secs`?", "Changes the times of the speech detector."),
    "AudioRawFrame": (_AUDIO, "Heard audio, for clients that cannot send binary messages."),
    "InputAudioRawFrame": (_AUDIO, "The same."),
    "audio_raw": (_AUDIO, "The same."),
    "StartFrame": ("", _NONE),
    "ErrorFrame": ("", _NONE),
    "AggregatedTextFrame": ("", _NONE),
    "RTVIServerMessageFrame": ("", _NONE),
    "UserSpeakingFrame": ("", _NONE),
    "VADUserStartedSpeakingFrame": ("", _NONE),
    "VADUserStoppedSpeakingFrame": ("", _NONE),
    "BotStartedSpeakingFrame": ("", _NONE),
    "BotStoppedSpeakingFrame": ("", _NONE),
    "OutputDTMFUrgentFrame": ("", _NONE),
}

RTVI_INTRODUCTION = """## RTVI: /ws?rtvi=1

Text messages are `{"id": "…", "label": "rtvi-ai", "type": "…", "data": {…}}`; binary messages are audio as above. Protocol
2.1, and 1.x for clients that announce it. Nothing but errors is sent before `client-ready`, and the greeting waits for it
(10 s at most); if the call ends before that, the client gets an `error` with `fatal` true. A faulty or unknown request is
answered with `error-response` and its id, or with `error` if it has none; what is no RTVI message is ignored. `/ws-client`
is another name for `/ws`.
"""

_NO_DATA = "none"

# type → fields, effect
RTVI_CLIENT: dict[str, tuple[str, str]] = {
    "client-ready": (
        "`version`, `about`?",
        "Answered with `bot-ready`; the greeting follows, once. A version that is missing, malformed or newer is answered "
        "with an `error-response` besides.",
    ),
    "disconnect-bot": (_NO_DATA, "Ends the call."),
    "client-message": (
        "`t`, `d`?",
        "For pipeline plugins, as `ClientMessage`. Answered with `server-response` when a plugin sends a `ServerMessage` "
        "of the same id; with `error-response` at once if no plugin watches the call's events, and after 7 s if one does "
        "and has not answered. `t` `voxray-set-tools` with `d` `{tools}` offers the client's own tools.",
    ),
    "send-text": (
        "`content`, `options`? (`run_immediately`, `audio_response`)",
        "A typed turn: answered at once unless `run_immediately` is false, in writing if `audio_response` is false.",
    ),
    "dtmf": ("`buttons`: a list of 0-9, * and #; or `button`", "Keys, in order."),
    "llm-function-call-result": ("`tool_call_id`, `result`", "The result of a tool that the client ran."),
    "append-to-context": (
        "`role`, `content`, `run_immediately`?",
        "Adds to the conversation; answered with `append-to-context-result`.",
    ),
    "ui-event": ("`event`, `payload`?", "For pipeline plugins, as `ClientMessage`; no answer."),
    "ui-snapshot": ("`tree`: an object", "The same."),
    "ui-cancel-job-group": ("`job_id`, `reason`?", "The same."),
    "raw-audio": ("`base64Audio`, `sampleRate`, `numChannels`?", "Heard audio, PCM16; rates as in protobuf."),
    "raw-audio-batch": ("`base64AudioBatch`, `sampleRate`, `numChannels`?", "The same, in pieces."),
}

RTVI_SERVER: dict[str, tuple[str, str]] = {
    "bot-ready": ("`version`, `about`, `capabilities`", "answers `client-ready`, with its id"),
    "error": (
        "`error`, `fatal`",
        "a stage failed, or nothing was to be heard for too long; the call ends by a limit (`fatal` false) or by a fault "
        "(true)",
    ),
    "error-response": ("`error`", "a request failed; has its id"),
    "server-response": ("`t`, `d`?", "a plugin answered a `client-message`; has its id"),
    "server-message": ("`t`, `d`?", "a plugin's message; a key the agent presses: `t` `dtmf`, `d` `{button}`"),
    "append-to-context-result": ("`result`", "answers `append-to-context`"),
    "user-started-speaking, user-stopped-speaking": (_NO_DATA, "the caller speaks, pauses"),
    "user-transcription": ("`text`, `user_id`, `timestamp`, `final`", "words; not final ones replace each other"),
    "user-llm-text": ("`text`", "the turn, as it goes to the model"),
    "bot-llm-started, bot-llm-stopped": (_NO_DATA, "the model is asked, has answered"),
    "bot-llm-text": ("`text`", "a piece of the model's text, as it comes"),
    "bot-tts-started, bot-tts-stopped": (
        _NO_DATA,
        "a sentence goes to the voice; nothing is left to speak, or it was cut off",
    ),
    "bot-tts-text": ("`text`", "words that were heard"),
    "bot-started-speaking, bot-stopped-speaking": (_NO_DATA, "sound of a reply is sent, is over or cut off"),
    "bot-interrupted": (_NO_DATA, "the reply was cut off by the caller"),
    "bot-transcription": ("`text`", "a sentence that is about to be spoken, or an answer in writing"),
    "bot-output": (
        "`text`, `aggregated_by`, `segment_id`, `will_be_spoken`, `spoken_status`, `spoken_progress`",
        "a sentence and how much of it was heard: new, in-progress, completed. An answer in writing is one segment "
        "with `will_be_spoken` false. Clients of version 1: `text`, `spoken`, `aggregated_by`",
    ),
    "llm-function-call-started, -in-progress, -stopped": (
        "`tool_call_id`; `function_name` and `arguments` (stopped: `result`) if the client runs it; stopped: `cancelled`",
        "a tool is called and has returned; `cancelled` is true for every call without a result",
    ),
    "metrics": (
        "`ttfb` and `processing`: `processor`, `value` in seconds; or `tokens`: `prompt_tokens`, `completion_tokens`, "
        "`total_tokens`, `cache_read_input_tokens`; or `characters`; or `stt_usage` in seconds; with `processor`, `model`?",
        "a reply became audible (`processing`: turn, to the decision to answer; reply, to its sound; both from the end of "
        "speech); a provider said what a request cost",
    ),
    "ui-command": (
        "`command`, `payload`?",
        "a plugin's `ServerMessage` of this kind; without `command`: `server-message`",
    ),
    "ui-job-group": ("`kind`, `job_id`, `at`, …", "the same"),
    "bot-llm-search-response": ("`origins`, …", "the same"),
    "user-mute-started, user-mute-stopped": (_NO_DATA, "the same; stopped at the latest when the call ends"),
}

PROTOBUF = """## Protobuf: /ws?format=protobuf

Each binary message is one `Frame` of proto3, whose field is one of these; unknown fields are skipped. `rtvi=1` beside it
changes nothing. RTVI messages travel inside `MessageFrame`, for clients that say `client-ready`. To any other client the
agent's sentences go as `TextFrame` and final words as `TranscriptionFrame`, and it is greeted at its first frame.

| field | message | from the client | from the server |
| --- | --- | --- | --- |
| 1 | `TextFrame`: 1 id, 2 name, 3 text | The agent says this. | a sentence of a reply |
| 2 | `AudioRawFrame`: 1 id, 2 name, 3 audio, 4 sample_rate, 5 num_channels, 6 pts | one channel or two; 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100 or 48000 Hz | mono, 24000 Hz |
| 3 | `TranscriptionFrame`: 1 id, 2 name, 3 text, 4 user_id, 5 timestamp | A typed turn. | final words of the caller |
| 4 | `MessageFrame`: 1 data | RTVI, as JSON | RTVI, as JSON |
| 5 | `InterruptionFrame`: 1 id, 2 name | The agent falls silent. | a reply was cut off; not to @pipecat-ai/client-js |
"""
