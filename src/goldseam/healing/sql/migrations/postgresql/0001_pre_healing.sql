-- Corrections that wait for a second person, and which corrections each projection has taken in.

CREATE TABLE goldseam_heal_proposals (
    id text NOT NULL PRIMARY KEY,
    tenant text NOT NULL,
    event_id text NOT NULL,
    changes text NOT NULL,
    reason text NOT NULL,
    ticket text NOT NULL,
    proposed_by text NOT NULL,
    proposed_us bigint NOT NULL,
    expires_us bigint NOT NULL,
    decision text NOT NULL DEFAULT '' CHECK (decision IN ('', 'approved', 'declined')),
    decided_by text NOT NULL DEFAULT '',
    decided_us bigint NOT NULL DEFAULT 0
);

CREATE TABLE goldseam_corrections_taken_in (
    projection text NOT NULL,
    generation integer NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (projection, generation)
);
