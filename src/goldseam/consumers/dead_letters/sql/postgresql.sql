What PostgreSQL says in another way.

-- clock_us --
CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)
