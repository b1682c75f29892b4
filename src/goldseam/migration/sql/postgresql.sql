What PostgreSQL says differently.

-- take_log --
SELECT pg_advisory_xact_lock(1735355492, 'goldseam_events'::regclass::oid::integer)

-- tell_followers --
SELECT pg_notify('goldseam_' || 'goldseam_events'::regclass::oid, CAST(:position AS text))

-- stream_heads --
SELECT s.tenant, s.stream, last.version, last.chain
FROM unnest(CAST(:tenants AS text[]), CAST(:streams AS text[])) AS s (tenant, stream)
CROSS JOIN LATERAL (
    SELECT e.version, e.chain FROM goldseam_events e
    WHERE e.tenant = s.tenant AND e.stream = s.stream
    ORDER BY e.version DESC LIMIT 1) last

-- insert_events --
INSERT INTO goldseam_events
    (position, tenant, stream, version, id, type, type_version, recorded_us, metadata, payload,
     checksum, chain)
SELECT * FROM unnest(
    CAST(:positions AS bigint[]), CAST(:tenants AS text[]), CAST(:streams AS text[]),
    CAST(:versions AS bigint[]), CAST(:ids AS uuid[]), CAST(:types AS text[]),
    CAST(:type_versions AS smallint[]), CAST(:recorded_us AS bigint[]),
    CAST(:metadata AS bytea[]), CAST(:payloads AS bytea[]), CAST(:checksums AS bigint[]),
    CAST(:chains AS bytea[]))

-- moved_exists --
SELECT CAST(to_regclass('goldseam_moved') IS NOT NULL AS integer)

-- migration_exists --
SELECT CAST(to_regclass('goldseam_migration') IS NOT NULL AS integer)

-- checkpoints_exist --
SELECT CAST(to_regclass('goldseam_checkpoints') IS NOT NULL AS integer)

-- taken_in_exists --
SELECT CAST(to_regclass('goldseam_corrections_taken_in') IS NOT NULL AS integer)

-- ids_between --
SELECT position, uuid_send(id) FROM goldseam_events
WHERE position > :after AND position <= :until ORDER BY position LIMIT :limit

-- fence_up --
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1735355492, 'goldseam_events'::regclass::oid::integer);
CREATE TABLE goldseam_moved (
    one integer PRIMARY KEY CHECK (one = 1), target text NOT NULL, moved_us bigint NOT NULL,
    runner text NOT NULL
);
CREATE FUNCTION goldseam_refuse_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the store has moved to @target@: open that one instead'
        USING ERRCODE = 'GS001';
END $$;
CREATE TRIGGER goldseam_events_moved BEFORE INSERT ON goldseam_events
    FOR EACH STATEMENT EXECUTE FUNCTION goldseam_refuse_moved();
ALTER TABLE goldseam_events ENABLE ALWAYS TRIGGER goldseam_events_moved;

-- fence_down --
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(1735355492, 'goldseam_events'::regclass::oid::integer);
DROP TRIGGER IF EXISTS goldseam_events_moved ON goldseam_events;
DROP FUNCTION IF EXISTS goldseam_refuse_moved();
DROP TABLE IF EXISTS goldseam_moved;
