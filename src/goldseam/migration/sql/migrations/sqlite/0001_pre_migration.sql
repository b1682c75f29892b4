-- In the target: how far the migration into this store has come, and where positions went.

CREATE TABLE goldseam_migration (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    source TEXT NOT NULL,
    transform TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('copying', 'done', 'aborted')),
    runner TEXT NOT NULL,
    beat INTEGER NOT NULL,
    source_position INTEGER NOT NULL,
    target_position INTEGER NOT NULL,
    keys_position INTEGER NOT NULL,
    verified_position INTEGER NOT NULL,
    pause_us INTEGER NOT NULL,
    started_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL
) STRICT;

CREATE TABLE goldseam_migration_map (
    source_first INTEGER PRIMARY KEY,
    target_first INTEGER NOT NULL,
    step INTEGER NOT NULL,
    settled INTEGER NOT NULL
) STRICT;

CREATE TABLE goldseam_migration_held (
    position INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    type TEXT NOT NULL,
    type_version INTEGER NOT NULL,
    payload BLOB NOT NULL,
    recorded_us INTEGER NOT NULL,
    id BLOB NOT NULL,
    metadata BLOB NOT NULL
) STRICT;
