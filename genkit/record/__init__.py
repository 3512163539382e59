"""The record of a run: its directory, its figures of each epoch, and the run as an object that plugins may follow."""
