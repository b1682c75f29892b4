-- Where each projection stands, and the events it could not apply.

CREATE TABLE goldseam_checkpoints (
    projection text NOT NULL,
    colour integer NOT NULL CHECK (colour IN (1, 2)),
    role text NOT NULL CHECK (role IN ('live', 'building', 'retired')),
    state text NOT NULL CHECK (state IN ('running', 'paused')),
    position bigint NOT NULL,
    generation bigint NOT NULL,
    quiet_until bigint NOT NULL,
    source text NOT NULL,
    version integer NOT NULL,
    code_hash text NOT NULL,
    updated_us bigint NOT NULL,
    checksum text NOT NULL,
    PRIMARY KEY (projection, colour),
    UNIQUE (projection, role)
) WITH (fillfactor = 50);

CREATE TABLE goldseam_parked (
    projection text NOT NULL,
    colour integer NOT NULL,
    generation bigint NOT NULL,
    position bigint NOT NULL,
    sequence text NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    queued integer NOT NULL,
    error text NOT NULL,
    attempts integer NOT NULL,
    parked_us bigint NOT NULL,
    resolution text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    resolved_us bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (projection, generation, position)
);

CREATE INDEX goldseam_parked_open ON goldseam_parked (projection, colour, sequence, position)
    WHERE resolution = '';
