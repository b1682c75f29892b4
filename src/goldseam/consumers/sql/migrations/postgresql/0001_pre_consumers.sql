-- Where each consumer stands, and how it recognises what it has applied.

CREATE TABLE goldseam_consumer_partitions (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    generation bigint NOT NULL,
    next_offset bigint NOT NULL,
    source text NOT NULL,
    holder text NOT NULL,
    updated_us bigint NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 50);

CREATE TABLE goldseam_processed_events (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    processed_us bigint NOT NULL,
    PRIMARY KEY (consumer, event_id)
);

CREATE INDEX goldseam_processed_events_by_age
    ON goldseam_processed_events USING brin (processed_us);

CREATE TABLE goldseam_watermarks (
    consumer text NOT NULL,
    stream text NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (consumer, stream)
) WITH (fillfactor = 70);
