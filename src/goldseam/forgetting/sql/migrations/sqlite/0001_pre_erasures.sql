-- How far this store has followed each erasure that the key store has recorded.

CREATE TABLE goldseam_erasures (
    tenant TEXT NOT NULL,
    subject TEXT NOT NULL,
    forgotten_us INTEGER NOT NULL,
    steps TEXT NOT NULL,
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (tenant, subject)
) STRICT, WITHOUT ROWID;
