"""Copies a log into a new store through a transform while writes go on, then cuts over."""
