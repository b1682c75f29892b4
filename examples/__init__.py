"""Programs that use goldseam as its users do."""
