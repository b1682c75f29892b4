What PostgreSQL says differently: two that register at once wait for one another.

-- lock --
SELECT pg_advisory_xact_lock(1735355494)
