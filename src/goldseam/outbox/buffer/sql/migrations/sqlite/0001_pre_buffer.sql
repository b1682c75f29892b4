-- The local buffer: records in the order they were taken, and what they add up to.

CREATE TABLE goldseam_buffer (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    written_us INTEGER NOT NULL,
    size INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    record BLOB NOT NULL,
    aside_us INTEGER
) STRICT;

CREATE INDEX goldseam_buffer_waiting ON goldseam_buffer (number) WHERE aside_us IS NULL;

CREATE TABLE goldseam_buffer_totals (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL,
    records INTEGER NOT NULL CHECK (records >= 0),
    bytes INTEGER NOT NULL CHECK (bytes >= 0)
) STRICT;

INSERT INTO goldseam_buffer_totals (id, epoch, records, bytes) VALUES (1, 0, 0, 0);
