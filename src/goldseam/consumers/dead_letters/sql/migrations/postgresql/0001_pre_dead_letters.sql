-- Records that consumers could not apply, those that wait behind them, and what was done.

CREATE TABLE goldseam_dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer text NOT NULL,
    sequence text NOT NULL,
    turn bigint NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    key bytea,
    value bytea,
    headers bytea NOT NULL,
    timestamp_ms bigint NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    reason text NOT NULL,
    error_class text NOT NULL,
    error text NOT NULL,
    trace text NOT NULL,
    fingerprint text NOT NULL,
    attempts integer NOT NULL,
    first_failed_us bigint NOT NULL,
    last_failed_us bigint NOT NULL,
    redrive_count integer NOT NULL,
    bytes bigint NOT NULL,
    state text NOT NULL CHECK (state IN
        ('waiting', 'due', 'quarantined', 'applied', 'duplicate', 'discarded')),
    due_us bigint NOT NULL DEFAULT 0,
    resolved_us bigint NOT NULL DEFAULT 0,
    mirrored integer NOT NULL DEFAULT 0,
    UNIQUE (consumer, topic, partition, record_offset)
);

CREATE INDEX goldseam_dead_letters_open
    ON goldseam_dead_letters (consumer, sequence, turn, record_offset)
    WHERE state IN ('waiting', 'due', 'quarantined');

CREATE INDEX goldseam_dead_letters_due ON goldseam_dead_letters (consumer, due_us)
    WHERE state = 'due';

CREATE INDEX goldseam_dead_letters_unmirrored ON goldseam_dead_letters (consumer, id)
    WHERE mirrored = 0;

CREATE INDEX goldseam_dead_letters_resolved ON goldseam_dead_letters (resolved_us)
    WHERE state IN ('applied', 'duplicate', 'discarded');

CREATE TABLE goldseam_dead_letter_sequences (
    consumer text NOT NULL,
    sequence text NOT NULL,
    letters bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (consumer, sequence)
);

CREATE TABLE goldseam_dead_letter_actions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer text NOT NULL,
    what text NOT NULL CHECK (what IN ('redrive', 'discard', 'park', 'import')),
    who text NOT NULL,
    why text NOT NULL,
    chosen text NOT NULL,
    forced integer NOT NULL,
    letters bigint NOT NULL,
    at_us bigint NOT NULL
);

CREATE TABLE goldseam_dead_letter_history (
    letter bigint NOT NULL,
    action bigint NOT NULL,
    PRIMARY KEY (letter, action)
);
