"""`python -m genkit`: the command line where no script is on the path, as under torchrun."""

from genkit.cli import main

main()
