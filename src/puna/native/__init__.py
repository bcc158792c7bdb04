"""The model's layers and head in C, over weights packed as their file has them; torch works where they cannot."""
