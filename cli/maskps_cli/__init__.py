"""The commands `maskps-data` and `maskps`."""
