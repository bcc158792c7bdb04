"""Text to token ids and back, with exact character offsets, and chat templates."""
