"""Writing text: sampling and streaming."""
