"""Reads that are sound: a read with position p never shows a state before p."""
