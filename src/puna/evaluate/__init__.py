"""How good the answers are: labelled rows in, metrics out."""
