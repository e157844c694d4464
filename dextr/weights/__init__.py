"""A name or a file to a network with its values."""
