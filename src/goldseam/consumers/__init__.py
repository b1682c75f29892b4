"""Take records from a broker and let each have its effect once, in order, or say why not."""
