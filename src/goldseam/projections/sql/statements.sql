Statements of the projections that both dialects share. ":name" is a parameter, "{name}" another
statement.

-- checkpoint_columns --
projection, colour, role, state, position, generation, quiet_until, source, version, code_hash,
updated_us, checksum

-- load_checkpoints --
SELECT {checkpoint_columns} FROM goldseam_checkpoints WHERE projection = :projection ORDER BY colour

-- take_turns --
SELECT 1

-- lock_checkpoints --
SELECT {checkpoint_columns} FROM goldseam_checkpoints WHERE projection = :projection ORDER BY colour

-- list_projections --
SELECT DISTINCT projection FROM goldseam_checkpoints ORDER BY projection

-- delete_checkpoint --
DELETE FROM goldseam_checkpoints WHERE projection = :projection AND colour = :colour

-- delete_checkpoints --
DELETE FROM goldseam_checkpoints WHERE projection = :projection

-- highest_generation --
SELECT (SELECT coalesce(max(generation), 0) FROM goldseam_checkpoints
         WHERE projection = :projection),
       (SELECT coalesce(max(generation), 0) FROM goldseam_parked WHERE projection = :projection)

-- insert_checkpoint --
INSERT INTO goldseam_checkpoints ({checkpoint_columns})
VALUES (:projection, :colour, :role, :state, :position, :generation, :quiet_until, :source,
        :version, :code_hash, :updated_us, :checksum)

-- advance_checkpoint --
UPDATE goldseam_checkpoints SET position = :position, updated_us = :updated_us, checksum = :checksum
WHERE projection = :projection AND colour = :colour
  AND position = :old_position AND generation = :generation AND checksum = :old_checksum
RETURNING colour

-- standing --
SELECT {checkpoint_columns},
       (SELECT coalesce(min(p.position), 0) FROM goldseam_parked p
         WHERE p.projection = c.projection AND p.colour = c.colour AND p.resolution = '')
FROM goldseam_checkpoints c WHERE projection = :projection AND role = 'live'

-- standing_of_sequence --
SELECT {checkpoint_columns},
       (SELECT coalesce(min(p.position), 0) FROM goldseam_parked p
         WHERE p.projection = c.projection AND p.colour = c.colour AND p.resolution = ''
           AND p.sequence = :sequence)
FROM goldseam_checkpoints c WHERE projection = :projection AND role = 'live'

-- parked_sequences --
SELECT DISTINCT sequence FROM goldseam_parked
WHERE projection = :projection AND colour = :colour AND resolution = ''

-- park --
INSERT INTO goldseam_parked (projection, colour, generation, position, sequence, event_id, type,
                             queued, error, attempts, parked_us)
VALUES (:projection, :colour, :generation, :position, :sequence, :event_id, :type, :queued, :error,
        :attempts, :parked_us)

-- list_parked --
SELECT sequence, position, event_id, type, queued, error, attempts, parked_us, resolution, reason,
       resolved_us, generation
FROM goldseam_parked
WHERE projection = :projection AND colour = :colour AND resolution = ''
ORDER BY sequence, position LIMIT :limit

-- list_parked_of_sequence --
SELECT sequence, position, event_id, type, queued, error, attempts, parked_us, resolution, reason,
       resolved_us, generation
FROM goldseam_parked
WHERE projection = :projection AND colour = :colour AND resolution = '' AND sequence = :sequence
ORDER BY position LIMIT :limit

-- count_parked --
SELECT count(*), count(DISTINCT sequence) FROM goldseam_parked
WHERE projection = :projection AND colour = :colour AND resolution = ''

-- resolve_parked --
UPDATE goldseam_parked SET resolution = :resolution, reason = :reason, resolved_us = :resolved_us
WHERE projection = :projection AND generation = :generation AND position = :position

-- fail_parked --
UPDATE goldseam_parked SET attempts = attempts + 1, error = :error, queued = 0
WHERE projection = :projection AND generation = :generation AND position = :position

-- delete_parked --
DELETE FROM goldseam_parked WHERE projection = :projection AND generation = :generation

-- delete_all_parked --
DELETE FROM goldseam_parked WHERE projection = :projection AND resolution = ''

-- delete_open_parked --
DELETE FROM goldseam_parked
WHERE projection = :projection AND generation = :generation AND resolution = ''

-- move_parked --
UPDATE goldseam_parked SET generation = :new
WHERE projection = :projection AND generation = :generation

-- change_feed --
CREATE TABLE IF NOT EXISTS @feed@ (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    row_key TEXT NOT NULL,
    operation TEXT NOT NULL,
    row_json TEXT NOT NULL,
    changed_us INTEGER NOT NULL
) STRICT;

-- change_feed_trigger --
CREATE TRIGGER IF NOT EXISTS @feed@_@operation@ AFTER @verb@ ON @table@
BEGIN
    INSERT INTO @feed@ (row_key, operation, row_json, changed_us)
    VALUES (CAST(@row@.@key@ AS TEXT), '@operation@', json_object(@pairs@),
            CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER));
END;

-- read_changes --
SELECT position, row_key, operation, row_json, changed_us FROM @feed@
WHERE position > :after ORDER BY position LIMIT :limit

-- changes_head --
SELECT coalesce(max(position), 0) FROM @feed@
