What PostgreSQL says in another way.

-- lock_shared --
SELECT pg_advisory_xact_lock_shared(1735355500, hashtext(current_schema()))

-- lock_alone --
SELECT pg_advisory_xact_lock(1735355500, hashtext(current_schema()))

-- durable --
SET LOCAL synchronous_commit = on

-- wanted --
(SELECT value AS subject FROM json_array_elements_text(CAST(:subjects AS json)) AS value)

-- rows --
(SELECT value ->> 0 AS tenant, value ->> 1 AS subject, CAST(value ->> 2 AS bigint) AS key_version,
        value ->> 3 AS wrapped
 FROM json_array_elements(CAST(:rows AS json)) AS value)

-- subjects --
SELECT {subject_columns} FROM goldseam_subjects
WHERE tenant = :tenant AND subject > :after
  AND (CAST(:state AS text) = '' OR state = :state)
ORDER BY subject LIMIT :limit

-- write_position --
SELECT CAST(pg_current_wal_lsn() AS text)

-- standbys_behind --
SELECT count(*) FROM pg_stat_replication
WHERE flush_lsn < CAST(:position AS pg_lsn)
