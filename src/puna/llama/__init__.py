"""The Llama model and nothing else: config, rope, norm, attention, block, model, cache."""
