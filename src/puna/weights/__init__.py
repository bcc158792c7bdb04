"""Model files: GGUF and safetensors folders, names and layouts, and where models come from."""
