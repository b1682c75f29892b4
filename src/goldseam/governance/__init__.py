"""Failure governance; the runbooks of the catalogue live here, in ``runbooks/<slug>.md``."""
