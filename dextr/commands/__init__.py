"""What `python -m dextr NAME` runs: one `main(argv)` each."""
