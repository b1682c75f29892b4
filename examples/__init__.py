"""Small programs on goldseam, each tested."""
