"""Silero voice activity detection for Voxray, by ONNX and without torch."""
