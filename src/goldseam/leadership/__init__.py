"""Split brain: who may write. Leases are for liveness, the store's fence is for safety."""
