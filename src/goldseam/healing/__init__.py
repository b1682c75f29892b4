"""Corrections of wrong facts: appended, never edited; read as if the fact had been right."""
