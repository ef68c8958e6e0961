"""eSpeak NG for Voxray: an offline voice for a hundred languages."""
