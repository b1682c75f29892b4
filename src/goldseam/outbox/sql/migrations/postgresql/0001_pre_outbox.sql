-- How far each shard is relayed, and the outbox of those who have no event log.

CREATE TABLE goldseam_relay_checkpoints (
    relay text NOT NULL,
    shard bigint NOT NULL,
    shards bigint NOT NULL,
    position bigint NOT NULL,
    token bigint NOT NULL,
    updated_us bigint NOT NULL,
    PRIMARY KEY (relay, shard)
);

CREATE TABLE goldseam_outbox_heads (
    lane bigint NOT NULL PRIMARY KEY,
    position bigint NOT NULL
);

CREATE TABLE goldseam_outbox (
    lane bigint NOT NULL,
    position bigint NOT NULL,
    topic text NOT NULL,
    record_key text NOT NULL,
    type text NOT NULL,
    type_version bigint NOT NULL,
    payload bytea NOT NULL,
    metadata bytea NOT NULL,
    event_id bytea NOT NULL,
    tenant text NOT NULL,
    added_us bigint NOT NULL,
    PRIMARY KEY (lane, position)
);
