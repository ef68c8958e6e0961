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
