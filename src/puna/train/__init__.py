"""Training: rows, trees of questions on texts, low-rank adapters, losses, the loop."""
