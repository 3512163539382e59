"""Training: the objective, the step, the epochs of steps, and the checkpoint of a run."""
