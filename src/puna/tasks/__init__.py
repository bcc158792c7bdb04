"""What is done with texts beyond answering: each a thin use of scoring or of writing."""
