"""From annotated objects to batches of random crops: what training reads."""
