"""From a config to the cells that it asks for, with their identities."""
