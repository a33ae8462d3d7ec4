"""Measuring person search: protocols, matching, metrics. Nothing here imports torch."""
