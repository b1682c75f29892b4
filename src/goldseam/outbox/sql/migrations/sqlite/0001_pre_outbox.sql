-- How far each shard is relayed, and the outbox of those who have no event log.

CREATE TABLE goldseam_relay_checkpoints (
    relay TEXT NOT NULL,
    shard INTEGER NOT NULL,
    shards INTEGER NOT NULL,
    position INTEGER NOT NULL,
    token INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (relay, shard)
) STRICT;

CREATE TABLE goldseam_outbox_heads (
    lane INTEGER NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT;

CREATE TABLE goldseam_outbox (
    lane INTEGER NOT NULL,
    position INTEGER NOT NULL,
    topic TEXT NOT NULL,
    record_key TEXT NOT NULL,
    type TEXT NOT NULL,
    type_version INTEGER NOT NULL,
    payload BLOB NOT NULL,
    metadata BLOB NOT NULL,
    event_id BLOB NOT NULL,
    tenant TEXT NOT NULL,
    added_us INTEGER NOT NULL,
    PRIMARY KEY (lane, position)
) STRICT;
