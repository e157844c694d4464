"""Many objects in files, no window: points in, masks and data sets out."""
