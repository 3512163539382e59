"""The commands, a file each. `genkit.cli` finds them: a new command is a new file here."""
