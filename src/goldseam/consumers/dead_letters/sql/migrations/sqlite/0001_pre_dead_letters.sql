-- Records that consumers could not apply, those that wait behind them, and what was done.

CREATE TABLE goldseam_dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    consumer TEXT NOT NULL,
    sequence TEXT NOT NULL,
    turn INTEGER NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    key BLOB,
    value BLOB,
    headers BLOB NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    type TEXT NOT NULL,
    reason TEXT NOT NULL,
    error_class TEXT NOT NULL,
    error TEXT NOT NULL,
    trace TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    first_failed_us INTEGER NOT NULL,
    last_failed_us INTEGER NOT NULL,
    redrive_count INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN
        ('waiting', 'due', 'quarantined', 'applied', 'duplicate', 'discarded')),
    due_us INTEGER NOT NULL DEFAULT 0,
    resolved_us INTEGER NOT NULL DEFAULT 0,
    mirrored INTEGER NOT NULL DEFAULT 0,
    UNIQUE (consumer, topic, partition, record_offset)
) STRICT;

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
    consumer TEXT NOT NULL,
    sequence TEXT NOT NULL,
    letters INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (consumer, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE goldseam_dead_letter_actions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    consumer TEXT NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('redrive', 'discard', 'park', 'import')),
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    chosen TEXT NOT NULL,
    forced INTEGER NOT NULL,
    letters INTEGER NOT NULL,
    at_us INTEGER NOT NULL
) STRICT;

CREATE TABLE goldseam_dead_letter_history (
    letter INTEGER NOT NULL,
    action INTEGER NOT NULL,
    PRIMARY KEY (letter, action)
) STRICT, WITHOUT ROWID;
