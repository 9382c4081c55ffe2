"""Training: the run of a fit, single steps, and what they leave."""
