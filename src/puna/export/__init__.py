"""A model in another form: GGUF files, folders, other types and what a type costs, fewer key-value heads."""
