"""Training: the objective, the step, the epochs made of steps, and what a resumed run needs."""
