"""``python -m poisonbench`` is the ``poisonbench`` command."""

from poisonbench.cli.app import main

if __name__ == "__main__":
    main()
