-- Schemas by their content, the versions of each subject, and what is asked of new ones.

CREATE TABLE goldseam_schemas (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE,
    schema_type TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE goldseam_schema_versions (
    subject TEXT NOT NULL,
    version INTEGER NOT NULL,
    schema_id INTEGER NOT NULL REFERENCES goldseam_schemas (id),
    deleted INTEGER NOT NULL DEFAULT 0,
    recorded_us INTEGER NOT NULL,
    PRIMARY KEY (subject, version)
) STRICT;

CREATE TABLE goldseam_schema_settings (
    subject TEXT NOT NULL,
    setting TEXT NOT NULL CHECK (setting IN ('level', 'mode')),
    value TEXT NOT NULL,
    PRIMARY KEY (subject, setting)
) STRICT;
