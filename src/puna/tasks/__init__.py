"""What else a model does with text: each task a thin use of scoring or writing."""
