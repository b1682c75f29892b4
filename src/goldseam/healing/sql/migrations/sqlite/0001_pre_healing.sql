-- Corrections that wait for a second person, and which corrections each projection has taken in.

CREATE TABLE goldseam_heal_proposals (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    event_id TEXT NOT NULL,
    changes TEXT NOT NULL,
    reason TEXT NOT NULL,
    ticket TEXT NOT NULL,
    proposed_by TEXT NOT NULL,
    proposed_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    decision TEXT NOT NULL DEFAULT '' CHECK (decision IN ('', 'approved', 'declined')),
    decided_by TEXT NOT NULL DEFAULT '',
    decided_us INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE goldseam_corrections_taken_in (
    projection TEXT NOT NULL,
    generation INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (projection, generation)
) STRICT;
