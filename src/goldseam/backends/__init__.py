"""One folder for each technology; each is the only importer of its driver."""
