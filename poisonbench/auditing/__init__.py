"""The audit: how far bad rows can move a model of your own data, and which defense to use."""
