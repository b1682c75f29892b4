"""A music shop of four services that talk through a broker only."""
