-- The keys of data subjects, wrapped, and who has been forgotten.

CREATE TABLE goldseam_epochs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('creating', 'current', 'retiring', 'destroyed')),
    material TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    destroyed_us INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX goldseam_epochs_one ON goldseam_epochs (state)
    WHERE state IN ('creating', 'current');

CREATE TABLE goldseam_subjects (
    tenant TEXT NOT NULL,
    subject TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'forgotten', 'readmitted')),
    key_version INTEGER NOT NULL,
    forgotten_us INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    steps TEXT NOT NULL DEFAULT '' CHECK (steps IN ('', 'recorded', 'deleted', 'done')),
    epoch INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX goldseam_subjects_open ON goldseam_subjects (steps, tenant, subject)
    WHERE steps IN ('recorded', 'deleted');

CREATE TABLE goldseam_subject_keys (
    tenant TEXT NOT NULL,
    subject TEXT NOT NULL,
    key_version INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    wrapped TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (tenant, subject, key_version)
) STRICT, WITHOUT ROWID;
