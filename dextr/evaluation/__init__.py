"""A network or a folder of masks, and a data set, to numbers."""
