"""Typed signals: what happened, with its failure; hooks listen."""
