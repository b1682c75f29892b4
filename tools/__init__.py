"""Tools of the checkout; none of them is installed with the package."""
