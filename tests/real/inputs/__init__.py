"""Inputs as the models meet them: drawn, rendered and sounded out of a seed, so that every machine has the same."""
