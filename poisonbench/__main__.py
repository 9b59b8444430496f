"""The ``poisonbench`` command, also as ``python -m poisonbench``."""

import atexit
import gc

from poisonbench.execution.signals import interruptible_command


def main() -> None:
    """Run the command."""
    # At its end Python would look through all that the libraries have loaded for what to collect:
    # half a second, also between Ctrl-C and the prompt.
    atexit.register(gc.freeze)
    with interruptible_command():
        # Loaded here, so that Ctrl-C ends that too.
        from poisonbench.cli.app import app

        app(prog_name="poisonbench")


if __name__ == "__main__":
    main()
