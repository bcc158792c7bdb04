"""The source articles' own variants, and studies that compare them with what Llama does."""
