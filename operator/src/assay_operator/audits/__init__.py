"""Audits: decisions, pure, from what is observed to what is to be done."""
