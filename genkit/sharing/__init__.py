"""Models that travel: weights files, exports, model cards, and the Hugging Face Hub."""
