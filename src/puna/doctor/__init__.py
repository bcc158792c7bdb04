"""What is wrong with a model that opens: pitfalls of its files, numbers that are none, and whether it makes sense."""
