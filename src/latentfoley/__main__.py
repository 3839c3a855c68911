"""`python -m latentfoley` is the command `latentfoley`."""

from latentfoley.cli import main

main()
