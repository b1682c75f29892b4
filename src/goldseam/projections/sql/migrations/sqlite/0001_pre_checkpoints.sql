-- Where each projection stands, and the events it could not apply.

CREATE TABLE goldseam_checkpoints (
    projection TEXT NOT NULL,
    colour INTEGER NOT NULL CHECK (colour IN (1, 2)),
    role TEXT NOT NULL CHECK (role IN ('live', 'building', 'retired')),
    state TEXT NOT NULL CHECK (state IN ('running', 'paused')),
    position INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    quiet_until INTEGER NOT NULL,
    source TEXT NOT NULL,
    version INTEGER NOT NULL,
    code_hash TEXT NOT NULL,
    updated_us INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    PRIMARY KEY (projection, colour),
    UNIQUE (projection, role)
) STRICT;

CREATE TABLE goldseam_parked (
    projection TEXT NOT NULL,
    colour INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    position INTEGER NOT NULL,
    sequence TEXT NOT NULL,
    event_id TEXT NOT NULL,
    type TEXT NOT NULL,
    queued INTEGER NOT NULL,
    error TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    parked_us INTEGER NOT NULL,
    resolution TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    resolved_us INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (projection, generation, position)
) STRICT;

CREATE INDEX goldseam_parked_open ON goldseam_parked (projection, colour, sequence, position)
    WHERE resolution = '';
