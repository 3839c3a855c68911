"""The command `latentfoley`, and `python -m latentfoley`."""

from latentfoley.stopping import stoppable


def main() -> None:
    """Run the command line; a signal may come while it is still being imported."""
    with stoppable():
        from latentfoley.cli import main as run

        run()


if __name__ == "__main__":
    main()
