-- Where each consumer stands, and how it recognises what it has applied.

CREATE TABLE goldseam_consumer_partitions (
    consumer TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    source TEXT NOT NULL,
    holder TEXT NOT NULL,
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE goldseam_processed_events (
    consumer TEXT NOT NULL,
    event_id TEXT NOT NULL,
    processed_us INTEGER NOT NULL,
    PRIMARY KEY (consumer, event_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX goldseam_processed_events_by_age
    ON goldseam_processed_events (consumer, processed_us);

CREATE TABLE goldseam_watermarks (
    consumer TEXT NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (consumer, stream)
) STRICT, WITHOUT ROWID;
