"""Question and text in, ranked answers with evidence out."""
