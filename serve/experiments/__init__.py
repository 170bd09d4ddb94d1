"""Experiments: what is measured to answer one question, beside the cells of a model."""
