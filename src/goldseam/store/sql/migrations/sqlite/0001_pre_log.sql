-- The log: events, and what the append compares inside its own transaction.

CREATE TABLE goldseam_store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL,
    created_us INTEGER NOT NULL
) STRICT;

CREATE TABLE goldseam_events (
    position INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    id BLOB NOT NULL,
    type TEXT NOT NULL,
    type_version INTEGER NOT NULL,
    recorded_us INTEGER NOT NULL,
    metadata BLOB NOT NULL,
    payload BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    chain BLOB NOT NULL,
    CONSTRAINT goldseam_events_stream UNIQUE (tenant, stream, version),
    CONSTRAINT goldseam_events_id UNIQUE (tenant, id)
) STRICT;

CREATE INDEX goldseam_events_category
    ON goldseam_events (tenant, substr(stream, 1, instr(stream || '-', '-') - 1), position);

CREATE INDEX goldseam_events_tenant ON goldseam_events (tenant, position) WHERE tenant <> 'main';

CREATE TABLE goldseam_keys (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    first_position INTEGER NOT NULL,
    last_position INTEGER NOT NULL,
    recorded_us INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE goldseam_fences (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    token INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE goldseam_snapshots (
    tenant TEXT NOT NULL,
    stream TEXT NOT NULL,
    kind TEXT NOT NULL,
    version INTEGER NOT NULL,
    schema_hash TEXT NOT NULL,
    state BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    recorded_us INTEGER NOT NULL,
    PRIMARY KEY (tenant, stream, kind)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER goldseam_events_no_update BEFORE UPDATE ON goldseam_events
BEGIN
    SELECT RAISE(ABORT, 'events are immutable: append a correction instead of an UPDATE');
END;

CREATE TRIGGER goldseam_events_no_delete BEFORE DELETE ON goldseam_events
BEGIN
    SELECT RAISE(ABORT, 'events are immutable: append a correction instead of a DELETE');
END;

-- REPLACE takes the old row away without asking the trigger above.
CREATE TRIGGER goldseam_events_no_replace BEFORE INSERT ON goldseam_events
BEGIN
    SELECT RAISE(ABORT, 'events are immutable: append a correction instead of a REPLACE')
    WHERE EXISTS (SELECT 1 FROM goldseam_events WHERE position = NEW.position)
       OR EXISTS (
        SELECT 1 FROM goldseam_events
        WHERE tenant = NEW.tenant AND stream = NEW.stream AND version = NEW.version
    );
    SELECT RAISE(ABORT, 'goldseam_events.tenant, goldseam_events.id is there: append a correction')
    WHERE EXISTS (SELECT 1 FROM goldseam_events WHERE tenant = NEW.tenant AND id = NEW.id);
END;

CREATE VIEW goldseam_log AS
SELECT
    position, tenant, stream, version, lower(hex(id)) AS id, type, type_version,
    strftime('%Y-%m-%dT%H:%M:%fZ', recorded_us / 1000000.0, 'unixepoch') AS recorded_at,
    CAST(payload AS TEXT) AS payload, CAST(metadata AS TEXT) AS metadata
FROM goldseam_events;
