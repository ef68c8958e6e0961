"""What a call is made of: the parts it uses and the numbers it goes by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from voxray.chat import Message
from voxray.protocols.llm import LanguageModel
from voxray.protocols.pipeline import PipelinePlugin
from voxray.protocols.stt import SpeechToText, UtteranceRecognizer
from voxray.protocols.tools import ToolSource
from voxray.protocols.tts import SentenceSynthesizer, TextToSpeech
from voxray.protocols.turn import TurnDetector
from voxray.protocols.vad import VoiceActivityDetector


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Providers and plugins, made once per process and shared by all calls. Names are those of the configuration."""

    stt: SpeechToText | UtteranceRecognizer
    llm: LanguageModel
    tts: TextToSpeech | SentenceSynthesizer
    vad: VoiceActivityDetector
    stt_name: str = "stt"
    llm_name: str = "llm"
    tts_name: str = "tts"
    stt_model: str = ""
    llm_model: str = ""
    tts_model: str = ""
    turn: TurnDetector | None = None
    tools: Sequence[ToolSource] = ()
    plugins: Sequence[PipelinePlugin] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """How a call is held. Names and meanings are those of the configuration keys."""

    # the caller's turn
    turn_detection: str = "silence"  # "none", "silence", or a TurnDetector's name
    turn_stop_secs: float = 3.0  # silence after speech that ends the turn
    turn_pre_speech_ms: float = 500.0  # sound kept from before speech was detected
    turn_max_duration_secs: float = 8.0
    user_turn_stop_timeout_secs: float = 5.0  # of inactivity, then the turn ends with what is known
    user_idle_timeout_secs: float = 0.0  # 0: off
    # the detector
    vad_confidence: float = 0.7
    vad_start_secs: float = 0.2
    vad_stop_secs: float = 0.2
    vad_min_volume: float = 0.0  # 0 = -60 dBFS, 1 = 0 dBFS
    # interruptions
    allow_interruptions: bool = True
    interruption_strategy: str = ""  # "" or "none": any speech; "min_words"; "keyword"
    min_words: int = 1
    interruption_phrases: tuple[str, ...] = ()
    interrupt_min_speech_ms: float = 200.0
    # keys of a telephone
    dtmf_timeout_secs: float = 2.0  # of quiet, then the keys so far are a turn
    dtmf_terminator: str = "#"
    # what the agent is and says
    messages: tuple[Message, ...] = field(default=())
    greeting: str = ""
    waiting_phrase: str = ""
    fallback_phrase: str = ""
    language: str | None = None
    # limits
    max_silence_secs: float = 3.0
    max_duration_secs: float = 0.0  # from the first sound heard; 0: none
    max_tool_rounds: int = 5
    max_failures: int = 3  # replies failed in a row, then the call ends
    input_queue_cap: int = 256  # frames of 20 ms that may wait for the recogniser
    llm_first_token_secs: float = 10.0
    llm_idle_secs: float = 20.0
    tts_first_audio_secs: float = 10.0
    tts_idle_secs: float = 10.0
