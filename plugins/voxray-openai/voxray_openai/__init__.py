"""OpenAI: transcription, chat and speech; base of every vendor that speaks OpenAI's HTTP API."""
