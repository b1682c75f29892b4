Statements of the evolution gate: what is stored, and a sample of it.
 ":name" is a parameter, "{name}" another statement.

-- event_columns --
position, stream, version, type, type_version, payload, recorded_us, id, metadata, checksum, tenant

-- stored_types --
SELECT type, type_version, count(*), min(position), max(position) FROM goldseam_events
GROUP BY type, type_version ORDER BY type, type_version

-- newest_of_type --
SELECT {event_columns} FROM goldseam_events
WHERE position >= :first AND position <= :last AND type = :type AND type_version = :type_version
ORDER BY position DESC LIMIT :limit

-- newest --
SELECT {event_columns} FROM goldseam_events ORDER BY position DESC LIMIT :limit

-- spread --
WITH RECURSIVE wanted (place) AS (
    SELECT CAST(:first AS bigint)
    UNION ALL
    SELECT place + CAST(:step AS bigint) FROM wanted
    WHERE place + CAST(:step AS bigint) <= CAST(:last AS bigint)
)
SELECT {event_columns} FROM goldseam_events WHERE position IN (SELECT place FROM wanted)
