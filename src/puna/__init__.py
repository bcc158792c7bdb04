"""Puna: ranked, cited answers from text with a Llama model."""
