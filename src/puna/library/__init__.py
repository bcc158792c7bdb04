"""From files to a library that answers: documents, passages, the index, retrieval."""
