"""The model's layers and head in C, over weights packed as their file has them; CPUs with AMX only, so far."""
