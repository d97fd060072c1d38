"""Passes over the dataset: each turns the batches of one need into numbers per tensor or per sample."""
