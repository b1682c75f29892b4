Statements of the store that both dialects share. Those of the main tenant walk the log by position:
CASE keeps the planner from an index that would make it sort the whole log for each page.
 ":name" is a parameter, "{name}" another statement.

-- event_columns --
position, stream, version, type, type_version, payload, recorded_us, id, metadata, checksum

-- read_stream --
SELECT {event_columns} FROM goldseam_events
WHERE tenant = :tenant AND stream = :stream AND version > :after AND version <= :until
ORDER BY version LIMIT :limit

-- read_stream_backwards --
SELECT {event_columns} FROM goldseam_events
WHERE tenant = :tenant AND stream = :stream AND version < :before
ORDER BY version DESC LIMIT :limit

-- read_category --
SELECT {event_columns} FROM goldseam_events
WHERE tenant = :tenant AND {category_of_stream} = :category AND position > :after
ORDER BY position LIMIT :limit

-- read_category_backwards --
SELECT {event_columns} FROM goldseam_events
WHERE tenant = :tenant AND {category_of_stream} = :category AND position < :before
ORDER BY position DESC LIMIT :limit

-- read_all --
SELECT {event_columns} FROM goldseam_events
WHERE {in_main_tenant} AND position > :after
ORDER BY position LIMIT :limit

-- read_all_backwards --
SELECT {event_columns} FROM goldseam_events
WHERE {in_main_tenant} AND position < :before
ORDER BY position DESC LIMIT :limit

-- read_all_of_tenant --
SELECT {event_columns} FROM goldseam_events
WHERE tenant = :tenant AND tenant <> 'main' AND position > :after
ORDER BY position LIMIT :limit

-- read_all_of_tenant_backwards --
SELECT {event_columns} FROM goldseam_events
WHERE tenant = :tenant AND tenant <> 'main' AND position < :before
ORDER BY position DESC LIMIT :limit

-- in_main_tenant --
CASE WHEN tenant = 'main' THEN true ELSE false END

-- read_event --
SELECT {event_columns} FROM goldseam_events WHERE tenant = :tenant AND id = :id

-- count_between --
SELECT count(*) FROM goldseam_events WHERE position > :after AND position <= :until

-- head --
SELECT coalesce(max(position), 0) FROM goldseam_events

-- stream_version --
SELECT coalesce(max(version), 0) FROM goldseam_events WHERE tenant = :tenant AND stream = :stream

-- recorded_after --
SELECT recorded_us FROM goldseam_events WHERE tenant = :tenant AND position > :position
ORDER BY position LIMIT 1

-- list_streams --
SELECT stream, max(version), max(position) FROM goldseam_events
WHERE tenant = :tenant AND stream > :after GROUP BY stream ORDER BY stream LIMIT :limit

-- list_tenants --
SELECT tenant, count(*) FROM goldseam_events GROUP BY tenant ORDER BY tenant

-- read_for_verification --
SELECT {event_columns}, tenant, chain FROM goldseam_events
WHERE position > :after ORDER BY position LIMIT :limit

-- read_snapshot --
SELECT version, schema_hash, state, checksum FROM goldseam_snapshots
WHERE tenant = :tenant AND stream = :stream AND kind = :kind

-- write_snapshot --
INSERT INTO goldseam_snapshots AS old
    (tenant, stream, kind, version, schema_hash, state, checksum, recorded_us)
VALUES (:tenant, :stream, :kind, :version, :schema_hash, :state, :checksum, :recorded_us)
ON CONFLICT (tenant, stream, kind) DO UPDATE SET
    version = excluded.version, schema_hash = excluded.schema_hash, state = excluded.state,
    checksum = excluded.checksum, recorded_us = excluded.recorded_us
WHERE old.version < excluded.version OR old.schema_hash <> excluded.schema_hash
   OR old.checksum <> excluded.checksum

-- prune_keys --
DELETE FROM goldseam_keys WHERE recorded_us < :before_us

-- keys_without_events --
SELECT k.tenant, k.key FROM goldseam_keys k
WHERE NOT EXISTS (SELECT 1 FROM goldseam_events e WHERE e.position = k.last_position)
LIMIT 100

-- all_snapshots --
SELECT stream, kind, version, schema_hash, state, checksum FROM goldseam_snapshots

-- count_keys --
SELECT count(*) FROM goldseam_keys

-- count_snapshots --
SELECT count(*) FROM goldseam_snapshots

-- find_key --
SELECT fingerprint, first_position, last_position FROM goldseam_keys
WHERE tenant = :tenant AND key = :key

-- version_between --
SELECT max(version) FROM goldseam_events
WHERE position BETWEEN :first AND :last AND tenant = :tenant AND stream = :stream
