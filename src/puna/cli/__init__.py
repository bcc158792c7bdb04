"""The `puna` command: one file a command, argument parsing and printing only."""
