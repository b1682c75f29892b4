Statements of the consumers that both dialects share. ":name" is a parameter, "{name}" another
statement.

-- table_exists --
SELECT count(*) FROM sqlite_master WHERE type IN ('table', 'view') AND name = :name

-- claim_partition --
INSERT INTO goldseam_consumer_partitions (consumer, topic, partition, generation, next_offset,
                                          source, holder, updated_us)
VALUES (:consumer, :topic, :partition, 1, -1, :source, :holder, :now_us)
ON CONFLICT (consumer, topic, partition) DO UPDATE
SET generation = goldseam_consumer_partitions.generation + 1, holder = excluded.holder,
    next_offset = CASE WHEN goldseam_consumer_partitions.source = excluded.source
                         OR goldseam_consumer_partitions.next_offset = -1
                       THEN goldseam_consumer_partitions.next_offset ELSE -2 END,
    source = excluded.source, updated_us = excluded.updated_us
RETURNING generation, next_offset

-- advance_partition --
UPDATE goldseam_consumer_partitions SET next_offset = :next_offset, updated_us = :now_us
WHERE consumer = :consumer AND topic = :topic AND partition = :partition
  AND generation = :generation AND next_offset = :old_offset
RETURNING generation

-- check_partition --
UPDATE goldseam_consumer_partitions SET updated_us = :now_us
WHERE consumer = :consumer AND topic = :topic AND partition = :partition
  AND generation = :generation
RETURNING generation

-- load_partition --
SELECT generation, next_offset FROM goldseam_consumer_partitions
WHERE consumer = :consumer AND topic = :topic AND partition = :partition

-- list_partitions --
SELECT topic, partition, generation, next_offset, source, holder, updated_us
FROM goldseam_consumer_partitions WHERE consumer = :consumer ORDER BY topic, partition

-- list_consumers --
SELECT DISTINCT consumer FROM goldseam_consumer_partitions ORDER BY consumer

-- set_partition --
INSERT INTO goldseam_consumer_partitions (consumer, topic, partition, generation, next_offset,
                                          source, holder, updated_us)
VALUES (:consumer, :topic, :partition, 2, :next_offset, :source, :holder, :now_us)
ON CONFLICT (consumer, topic, partition) DO UPDATE
SET generation = goldseam_consumer_partitions.generation + 1, holder = excluded.holder,
    next_offset = excluded.next_offset, source = excluded.source,
    updated_us = excluded.updated_us
RETURNING generation

-- remember_events --
INSERT INTO goldseam_processed_events (consumer, event_id, processed_us)
SELECT :consumer, value, :now_us FROM json_each(:ids) WHERE true
ON CONFLICT DO NOTHING
RETURNING event_id

-- known_events --
SELECT event_id FROM goldseam_processed_events
WHERE consumer = :consumer AND event_id IN (SELECT value FROM json_each(:ids))

-- forget_events --
DELETE FROM goldseam_processed_events
WHERE consumer = :consumer AND event_id IN (SELECT value FROM json_each(:ids))

-- prune_events --
DELETE FROM goldseam_processed_events WHERE (consumer, event_id) IN (
    SELECT consumer, event_id FROM goldseam_processed_events
    WHERE consumer = :consumer AND processed_us < :before_us LIMIT :limit)
RETURNING 1

-- load_watermarks --
SELECT stream, version FROM goldseam_watermarks
WHERE consumer = :consumer AND stream IN (SELECT value FROM json_each(:streams))

-- raise_watermarks --
INSERT INTO goldseam_watermarks (consumer, stream, version)
SELECT :consumer, key, value FROM json_each(:versions) WHERE true
ON CONFLICT (consumer, stream) DO UPDATE SET version = excluded.version
WHERE goldseam_watermarks.version < excluded.version
RETURNING stream
