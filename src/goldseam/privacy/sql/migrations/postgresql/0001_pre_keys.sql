-- The keys of data subjects, wrapped, and who has been forgotten.

CREATE TABLE goldseam_epochs (
    number bigint PRIMARY KEY,
    id text NOT NULL UNIQUE,
    state text NOT NULL CHECK (state IN ('creating', 'current', 'retiring', 'destroyed')),
    material text NOT NULL,
    created_us bigint NOT NULL,
    destroyed_us bigint NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX goldseam_epochs_one ON goldseam_epochs (state)
    WHERE state IN ('creating', 'current');

CREATE TABLE goldseam_subjects (
    tenant text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    state text NOT NULL CHECK (state IN ('active', 'forgotten', 'readmitted')),
    key_version bigint NOT NULL,
    forgotten_us bigint NOT NULL DEFAULT 0,
    reason text NOT NULL DEFAULT '',
    steps text NOT NULL DEFAULT '' CHECK (steps IN ('', 'recorded', 'deleted', 'done')),
    epoch bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, subject)
);

CREATE INDEX goldseam_subjects_open ON goldseam_subjects (steps, tenant, subject)
    WHERE steps IN ('recorded', 'deleted');

CREATE TABLE goldseam_subject_keys (
    tenant text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    key_version bigint NOT NULL,
    epoch bigint NOT NULL,
    wrapped text NOT NULL,
    created_us bigint NOT NULL,
    PRIMARY KEY (tenant, subject, key_version)
) WITH (fillfactor = 50);
