Statements of the migration that both dialects share. ":name" is a parameter, "{name}" another
statement, "@target@" the checked id of the store that a source has moved to.

-- progress_columns --
source, transform, fingerprint, phase, runner, beat, source_position, target_position,
keys_position, verified_position, pause_us, started_us, updated_us

-- load_progress --
SELECT {progress_columns} FROM goldseam_migration

-- begin --
INSERT INTO goldseam_migration (one, {progress_columns})
VALUES (1, :source, :transform, :fingerprint, 'copying', '', 1, 0, 0, 0, 0, 0, :now, :now)

-- claim --
UPDATE goldseam_migration SET runner = :runner, beat = beat + 1, updated_us = :now
WHERE beat = :beat RETURNING beat

-- release --
UPDATE goldseam_migration SET runner = '', beat = beat + 1 WHERE runner = :runner

-- advance --
UPDATE goldseam_migration SET
    beat = beat + 1, source_position = :source_position, target_position = :target_position,
    updated_us = :now
WHERE runner = :runner AND source_position = :old_source AND target_position = :old_target
    AND phase = 'copying'
RETURNING beat

-- beat --
UPDATE goldseam_migration SET beat = beat + 1, updated_us = :now WHERE runner = :runner
RETURNING beat

-- set_keys_position --
UPDATE goldseam_migration SET keys_position = :position, beat = beat + 1, updated_us = :now
WHERE runner = :runner RETURNING beat

-- set_verified_position --
UPDATE goldseam_migration SET verified_position = :position, beat = beat + 1, updated_us = :now
WHERE runner = :runner RETURNING beat

-- set_phase --
UPDATE goldseam_migration SET
    phase = :phase, pause_us = :pause_us, beat = beat + 1, updated_us = :now
WHERE runner = :runner RETURNING beat

-- target_head --
SELECT coalesce(max(position), 0) FROM goldseam_events

-- take_log --
SELECT 1

-- tell_followers --
SELECT 1

-- save_run --
INSERT INTO goldseam_migration_map (source_first, target_first, step, settled)
VALUES (:source_first, :target_first, :step, :settled)
ON CONFLICT (source_first) DO UPDATE SET
    target_first = excluded.target_first, step = excluded.step, settled = excluded.settled

-- run_at --
SELECT source_first, target_first, step, settled FROM goldseam_migration_map
WHERE source_first <= :position ORDER BY source_first DESC LIMIT 1

-- settled_run_after --
SELECT source_first, target_first, step, settled FROM goldseam_migration_map
WHERE source_first > :position AND settled = 1 ORDER BY source_first LIMIT 1

-- runs_between --
SELECT source_first, target_first, step, settled FROM goldseam_migration_map
WHERE source_first > :after AND source_first <= :until ORDER BY source_first

-- count_runs --
SELECT count(*) FROM goldseam_migration_map

-- held_columns --
position, tenant, stream, version, type, type_version, payload, recorded_us, id, metadata

-- load_held --
SELECT {held_columns} FROM goldseam_migration_held ORDER BY position

-- clear_held --
DELETE FROM goldseam_migration_held

-- save_held --
INSERT INTO goldseam_migration_held ({held_columns})
VALUES (:position, :tenant, :stream, :version, :type, :type_version, :payload, :recorded_us, :id,
        :metadata)

-- stream_head --
SELECT tenant, stream, version, chain FROM goldseam_events
WHERE tenant = :tenant AND stream = :stream ORDER BY version DESC LIMIT 1

-- insert_event --
INSERT INTO goldseam_events
    (position, tenant, stream, version, id, type, type_version, recorded_us, metadata, payload,
     checksum, chain)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- read_keys --
SELECT tenant, key, fingerprint, first_position, last_position, recorded_us FROM goldseam_keys
WHERE last_position > :after AND last_position <= :until AND (tenant, key) > (:tenant, :key)
ORDER BY tenant, key LIMIT :limit

-- save_key --
INSERT INTO goldseam_keys (tenant, key, fingerprint, first_position, last_position, recorded_us)
VALUES (:tenant, :key, :fingerprint, :first, :last, :recorded_us)
ON CONFLICT (tenant, key) DO NOTHING

-- clear_keys --
DELETE FROM goldseam_keys

-- read_fences --
SELECT tenant, name, token FROM goldseam_fences
WHERE (tenant, name) > (:tenant, :name) ORDER BY tenant, name LIMIT :limit

-- save_fence --
INSERT INTO goldseam_fences AS old (tenant, name, token) VALUES (:tenant, :name, :token)
ON CONFLICT (tenant, name) DO UPDATE SET token = excluded.token WHERE old.token < excluded.token

-- moved_exists --
SELECT count(*) FROM sqlite_master WHERE name = 'goldseam_moved'

-- read_moved --
SELECT target, moved_us, runner FROM goldseam_moved

-- write_moved --
INSERT INTO goldseam_moved (one, target, moved_us, runner) VALUES (1, :target, :now, :runner)

-- take_over_moved --
UPDATE goldseam_moved SET runner = :runner

-- fence_up --
CREATE TABLE goldseam_moved (
    one INTEGER PRIMARY KEY CHECK (one = 1), target TEXT NOT NULL, moved_us INTEGER NOT NULL,
    runner TEXT NOT NULL
) STRICT;
CREATE TRIGGER goldseam_events_moved BEFORE INSERT ON goldseam_events
BEGIN
    SELECT RAISE(ABORT, 'the store has moved to @target@: open that one instead');
END;

-- fence_down --
DROP TRIGGER IF EXISTS goldseam_events_moved;
DROP TABLE IF EXISTS goldseam_moved;

-- migration_exists --
SELECT count(*) FROM sqlite_master WHERE name = 'goldseam_migration'

-- checkpoints_exist --
SELECT count(*) FROM sqlite_master WHERE name = 'goldseam_checkpoints'

-- taken_in_exists --
SELECT count(*) FROM sqlite_master WHERE name = 'goldseam_corrections_taken_in'

-- read_taken_in --
SELECT until FROM goldseam_corrections_taken_in
WHERE projection = :projection AND generation = :generation

-- move_taken_in --
UPDATE goldseam_corrections_taken_in SET until = :until
WHERE projection = :projection AND generation = :generation

-- list_checkpoints --
SELECT projection, colour, role, state, position, generation, quiet_until, source, version,
       code_hash, updated_us, checksum
FROM goldseam_checkpoints ORDER BY projection, colour

-- open_parked --
SELECT position, event_id FROM goldseam_parked
WHERE projection = :projection AND generation = :generation AND resolution = ''
ORDER BY position LIMIT :limit

-- move_parked_event --
UPDATE goldseam_parked SET position = :position
WHERE projection = :projection AND generation = :generation AND position = :old AND resolution = ''

-- settle_parked --
UPDATE goldseam_parked SET position = -position
WHERE projection = :projection AND generation = :generation AND position < 0

-- set_pause --
UPDATE goldseam_migration SET pause_us = :pause_us WHERE runner = :runner

-- ids_between --
SELECT position, id FROM goldseam_events WHERE position > :after AND position <= :until
ORDER BY position LIMIT :limit
