"""Events over time: upcasting on read, weak schemas, the schema registry."""
