"""Sharing of models: weights files, exports, model cards, and the Hugging Face Hub."""
