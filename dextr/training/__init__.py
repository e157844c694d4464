"""A training run: options, the step, epochs, checkpoints, logs."""
