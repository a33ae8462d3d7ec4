"""Training: settings, batches, the loop, checkpoints. Importing `maskps.training.config` needs no torch."""
