"""``python -m poisonbench`` is the ``poisonbench`` command."""

from poisonbench.cli import main

if __name__ == "__main__":
    main()
