Statements of the dead letters that both dialects share. ":name" is a parameter, "{name}" another
statement. A letter's place in its sequence is (turn, record_offset): records of one partition by
their offsets, partitions by who came first.

-- clock_us --
CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)

-- is_open --
state IN ('waiting', 'due', 'quarantined')

-- letter_columns --
id, consumer, sequence, topic, partition, record_offset, key, value, headers, timestamp_ms,
event_id, type, reason, error_class, error, trace, fingerprint, attempts, first_failed_us,
last_failed_us, redrive_count, state, resolved_us

-- stopped --
SELECT sequence FROM goldseam_dead_letter_sequences WHERE consumer = :consumer AND letters > 0

-- lock_sequence --
INSERT INTO goldseam_dead_letter_sequences (consumer, sequence, letters, bytes)
VALUES (:consumer, :sequence, 0, 0)
ON CONFLICT (consumer, sequence) DO UPDATE
SET letters = goldseam_dead_letter_sequences.letters

-- recount_sequence --
UPDATE goldseam_dead_letter_sequences
SET letters = (SELECT count(*) FROM goldseam_dead_letters AS l
               WHERE l.consumer = :consumer AND l.sequence = :sequence AND {is_open}),
    bytes = (SELECT coalesce(sum(l.bytes), 0) FROM goldseam_dead_letters AS l
             WHERE l.consumer = :consumer AND l.sequence = :sequence AND {is_open})
WHERE consumer = :consumer AND sequence = :sequence

-- drop_sequence --
DELETE FROM goldseam_dead_letter_sequences
WHERE consumer = :consumer AND sequence = :sequence AND letters = 0

-- totals --
SELECT count(*), coalesce(sum(letters), 0), coalesce(sum(bytes), 0), coalesce(max(letters), 0)
FROM goldseam_dead_letter_sequences WHERE consumer = :consumer AND letters > 0

-- turns --
SELECT topic, partition, max(turn) FROM goldseam_dead_letters
WHERE consumer = :consumer AND sequence = :sequence AND {is_open}
GROUP BY topic, partition

-- last_of_sequence --
SELECT state, due_us FROM goldseam_dead_letters
WHERE consumer = :consumer AND sequence = :sequence AND {is_open}
ORDER BY turn DESC, record_offset DESC LIMIT 1

-- park --
INSERT INTO goldseam_dead_letters (consumer, sequence, turn, topic, partition, record_offset, key,
    value, headers, timestamp_ms, event_id, type, reason, error_class, error, trace, fingerprint,
    attempts, first_failed_us, last_failed_us, redrive_count, bytes, state, due_us)
VALUES (:consumer, :sequence, :turn, :topic, :partition, :record_offset, :key, :value, :headers,
    :timestamp_ms, :event_id, :type, :reason, :error_class, :error, :trace, :fingerprint,
    :attempts, :first_failed_us, :last_failed_us, :redrive_count, :bytes, :state, :due_us)
ON CONFLICT (consumer, topic, partition, record_offset) DO UPDATE
SET sequence = excluded.sequence, turn = excluded.turn, reason = excluded.reason,
    error_class = excluded.error_class, error = excluded.error, trace = excluded.trace,
    fingerprint = excluded.fingerprint, attempts = excluded.attempts,
    first_failed_us = excluded.first_failed_us, last_failed_us = excluded.last_failed_us,
    key = excluded.key, value = excluded.value, headers = excluded.headers,
    timestamp_ms = excluded.timestamp_ms, event_id = excluded.event_id, type = excluded.type,
    bytes = excluded.bytes, state = excluded.state, due_us = excluded.due_us, resolved_us = 0,
    mirrored = 0
WHERE goldseam_dead_letters.state IN ('applied', 'duplicate', 'discarded')

-- due --
SELECT {letter_columns} FROM goldseam_dead_letters AS l
WHERE consumer = :consumer AND state = 'due'
  AND due_us <= coalesce(CAST(:now_us AS bigint), {clock_us})
  AND (CAST(:topic AS text) IS NULL OR topic = CAST(:topic AS text))
  AND (CAST(:partition AS bigint) IS NULL OR partition = CAST(:partition AS bigint))
  AND NOT EXISTS (
      SELECT 1 FROM goldseam_dead_letters AS b
      WHERE b.consumer = l.consumer AND b.sequence = l.sequence
        AND b.state IN ('waiting', 'due', 'quarantined')
        AND (b.turn < l.turn OR (b.turn = l.turn AND b.record_offset < l.record_offset))
        AND NOT (b.state = 'due'
                 AND b.due_us <= coalesce(CAST(:now_us AS bigint), {clock_us})))
ORDER BY sequence, turn, record_offset LIMIT :limit

-- resolve --
UPDATE goldseam_dead_letters SET state = :state, resolved_us = :now_us
WHERE id = :id AND {is_open}
RETURNING consumer, sequence

-- fail --
UPDATE goldseam_dead_letters
SET state = CASE WHEN redrive_count + 1 >= :redrives_max THEN 'quarantined' ELSE 'waiting' END,
    redrive_count = redrive_count + 1, attempts = attempts + 1,
    reason = CASE WHEN reason = 'queued' THEN 'poison' ELSE reason END,
    error_class = :error_class, error = :error, trace = :trace, fingerprint = :fingerprint,
    last_failed_us = :now_us
WHERE id = :id AND {is_open}
RETURNING state

-- stop_again --
UPDATE goldseam_dead_letters SET state = 'waiting', due_us = 0
WHERE consumer = :consumer AND sequence = :sequence AND state = 'due'

-- matching --
(CAST(:consumer AS text) IS NULL OR l.consumer = CAST(:consumer AS text))
  AND (CAST(:sequence AS text) IS NULL OR l.sequence = CAST(:sequence AS text))
  AND (CAST(:type AS text) IS NULL OR l.type = CAST(:type AS text))
  AND (CAST(:error_class AS text) IS NULL OR l.error_class = CAST(:error_class AS text))
  AND (CAST(:reason AS text) IS NULL OR l.reason = CAST(:reason AS text))
  AND (CAST(:fingerprint AS text) IS NULL OR l.fingerprint = CAST(:fingerprint AS text))
  AND (CAST(:topic AS text) IS NULL OR l.topic = CAST(:topic AS text))
  AND (CAST(:contains AS text) IS NULL OR lower(l.error) LIKE CAST(:contains AS text) ESCAPE '!')
  AND (CAST(:since_us AS bigint) IS NULL OR l.last_failed_us >= CAST(:since_us AS bigint))
  AND (CAST(:until_us AS bigint) IS NULL OR l.last_failed_us < CAST(:until_us AS bigint))
  AND (CAST(:state AS text) IS NULL OR l.state = CAST(:state AS text)
       OR (CAST(:state AS text) = 'open' AND l.state IN ('waiting', 'due', 'quarantined')))

-- list_letters --
SELECT {letter_columns} FROM goldseam_dead_letters AS l
WHERE {matching} AND l.id > :after ORDER BY l.id LIMIT :limit

-- count_letters --
SELECT count(*) FROM goldseam_dead_letters AS l WHERE {matching}

-- group_letters --
SELECT l.consumer, l.fingerprint, l.error_class, l.type, min(l.error), min(l.trace), min(l.reason),
       count(*), count(DISTINCT l.sequence), min(l.first_failed_us), max(l.last_failed_us),
       min(l.id)
FROM goldseam_dead_letters AS l
WHERE {matching} AND l.fingerprint <> ''
GROUP BY l.consumer, l.fingerprint, l.error_class, l.type
ORDER BY count(*) DESC, min(l.id) LIMIT :limit

-- letters_behind --
SELECT l.consumer, h.fingerprint, count(*) FROM goldseam_dead_letters AS l
JOIN goldseam_dead_letters AS h ON h.consumer = l.consumer AND h.sequence = l.sequence
  AND h.state IN ('waiting', 'due', 'quarantined') AND h.fingerprint <> ''
WHERE (CAST(:consumer AS text) IS NULL OR l.consumer = CAST(:consumer AS text))
  AND l.reason = 'queued'
  AND l.state IN ('waiting', 'due', 'quarantined')
GROUP BY l.consumer, h.fingerprint

-- load_letter --
SELECT {letter_columns} FROM goldseam_dead_letters WHERE id = :id

-- heads --
SELECT {letter_columns} FROM goldseam_dead_letters AS l
WHERE {matching} AND l.state IN ('waiting', 'due', 'quarantined')
  AND NOT EXISTS (
      SELECT 1 FROM goldseam_dead_letters AS b
      WHERE b.consumer = l.consumer AND b.sequence = l.sequence
        AND b.state IN ('waiting', 'due', 'quarantined')
        AND (b.turn < l.turn OR (b.turn = l.turn AND b.record_offset < l.record_offset)))
ORDER BY l.id LIMIT :limit

-- head_of_sequence --
SELECT {letter_columns} FROM goldseam_dead_letters
WHERE consumer = :consumer AND sequence = :sequence AND {is_open}
ORDER BY turn, record_offset LIMIT 1

-- ids_of_sequence --
SELECT id, reason, state FROM goldseam_dead_letters
WHERE consumer = :consumer AND sequence = :sequence AND {is_open}
ORDER BY turn, record_offset LIMIT :limit

-- ask --
UPDATE goldseam_dead_letters SET state = 'due', due_us = :due_us
WHERE id = :id AND {is_open}

-- add_action --
INSERT INTO goldseam_dead_letter_actions (consumer, what, who, why, chosen, forced, letters, at_us)
VALUES (:consumer, :what, :who, :why, :chosen, :forced, :letters, :now_us)
RETURNING id

-- add_history --
INSERT INTO goldseam_dead_letter_history (letter, action) VALUES (:letter, :action)
ON CONFLICT DO NOTHING

-- actions_of_letter --
SELECT a.id, a.consumer, a.what, a.who, a.why, a.chosen, a.forced, a.letters, a.at_us
FROM goldseam_dead_letter_actions AS a
JOIN goldseam_dead_letter_history AS h ON h.action = a.id
WHERE h.letter = :letter ORDER BY a.id

-- list_actions --
SELECT id, consumer, what, who, why, chosen, forced, letters, at_us
FROM goldseam_dead_letter_actions
WHERE (CAST(:consumer AS text) IS NULL OR consumer = CAST(:consumer AS text)) AND id > :after
ORDER BY id LIMIT :limit

-- letter_at --
SELECT {letter_columns} FROM goldseam_dead_letters
WHERE consumer = :consumer AND topic = :topic AND partition = :partition
  AND record_offset = :record_offset

-- unmirrored --
SELECT {letter_columns} FROM goldseam_dead_letters
WHERE consumer = :consumer AND mirrored = 0 ORDER BY id LIMIT :limit

-- set_mirrored --
UPDATE goldseam_dead_letters SET mirrored = :mirrored
WHERE id = :id AND mirrored = 0 AND first_failed_us = :first_failed_us

-- prune_letters --
DELETE FROM goldseam_dead_letters WHERE id IN (
    SELECT id FROM goldseam_dead_letters
    WHERE state IN ('applied', 'duplicate', 'discarded') AND resolved_us < :before_us
      AND consumer = :consumer AND mirrored <> 0 LIMIT :limit)
RETURNING 1

-- prune_history --
DELETE FROM goldseam_dead_letter_history
WHERE letter NOT IN (SELECT id FROM goldseam_dead_letters)

-- state_at --
SELECT state FROM goldseam_dead_letters
WHERE consumer = :consumer AND topic = :topic AND partition = :partition
  AND record_offset = :record_offset

-- open_ids --
SELECT event_id FROM goldseam_dead_letters WHERE consumer = :consumer AND {is_open}
