"""Failure governance; the runbooks of the failure catalogue live here, in ``runbooks/<slug>.md``."""
