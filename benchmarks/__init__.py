"""Speed beside the raw limit, in the same run: ``make bench``."""
