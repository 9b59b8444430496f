"""The ``poisonbench`` command, also as ``python -m poisonbench``."""

import atexit
import gc

from poisonbench.execution.signals import interruptible_command


def main() -> None:
    """Run the command."""
    # Without this, Python's last garbage collection goes through everything that the libraries
    # have loaded.  It takes half a second, also between Ctrl-C and the prompt.
    atexit.register(gc.freeze)
    with interruptible_command():
        # Imported here, so that Ctrl-C can also interrupt the import.  Nothing that is loaded is
        # garbage before the end, so that Python need not look for any, now or later.
        gc.disable()
        from poisonbench.cli.app import app

        gc.freeze()
        gc.enable()
        app(prog_name="poisonbench")


if __name__ == "__main__":
    main()
