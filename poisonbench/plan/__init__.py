"""Plans: the cells that a config asks for, with their identities."""
