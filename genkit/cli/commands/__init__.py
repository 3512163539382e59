"""The commands, one file per command. `genkit.cli` finds them: a new command is a new file here."""
