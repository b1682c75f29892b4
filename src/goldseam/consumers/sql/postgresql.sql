What PostgreSQL says in another way.

-- table_exists --
SELECT CASE WHEN to_regclass(quote_ident(:name)) IS NULL THEN 0 ELSE 1 END

-- advance_partition --
UPDATE goldseam_consumer_partitions SET next_offset = :next_offset, updated_us = :now_us
WHERE consumer = :consumer AND topic = :topic AND partition = :partition
  AND generation = :generation AND next_offset = :old_offset
RETURNING generation, set_config('idle_in_transaction_session_timeout', :idle_ms, true)

-- remember_events --
INSERT INTO goldseam_processed_events (consumer, event_id, processed_us)
SELECT :consumer, id, :now_us FROM unnest(CAST(:ids AS uuid[])) AS id
ON CONFLICT DO NOTHING
RETURNING CAST(event_id AS text)

-- known_events --
SELECT CAST(event_id AS text) FROM goldseam_processed_events
WHERE consumer = :consumer AND event_id = ANY (CAST(:ids AS uuid[]))

-- forget_events --
DELETE FROM goldseam_processed_events
WHERE consumer = :consumer AND event_id = ANY (CAST(:ids AS uuid[]))

-- load_watermarks --
SELECT stream, version FROM goldseam_watermarks
WHERE consumer = :consumer AND stream = ANY (CAST(:streams AS text[]))

-- raise_watermarks --
INSERT INTO goldseam_watermarks (consumer, stream, version)
SELECT :consumer, s, v FROM unnest(CAST(:streams AS text[]), CAST(:versions AS bigint[])) AS u (s, v)
ON CONFLICT (consumer, stream) DO UPDATE SET version = excluded.version
WHERE goldseam_watermarks.version < excluded.version
RETURNING stream
