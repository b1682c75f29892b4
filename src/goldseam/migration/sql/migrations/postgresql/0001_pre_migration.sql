-- In the target: how far the migration into this store has come, and where positions went.

CREATE TABLE goldseam_migration (
    one integer PRIMARY KEY CHECK (one = 1),
    source text NOT NULL,
    transform text NOT NULL,
    fingerprint text NOT NULL,
    phase text NOT NULL CHECK (phase IN ('copying', 'done', 'aborted')),
    runner text NOT NULL,
    beat bigint NOT NULL,
    source_position bigint NOT NULL,
    target_position bigint NOT NULL,
    keys_position bigint NOT NULL,
    verified_position bigint NOT NULL,
    pause_us bigint NOT NULL,
    started_us bigint NOT NULL,
    updated_us bigint NOT NULL
);

CREATE TABLE goldseam_migration_map (
    source_first bigint PRIMARY KEY,
    target_first bigint NOT NULL,
    step bigint NOT NULL,
    settled integer NOT NULL
);

CREATE TABLE goldseam_migration_held (
    position bigint PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    type text COLLATE "C" NOT NULL,
    type_version smallint NOT NULL,
    payload bytea NOT NULL,
    recorded_us bigint NOT NULL,
    id bytea NOT NULL,
    metadata bytea NOT NULL
);
