-- Who may lead for how long; the token grows with every change of hands and is never given twice.

CREATE TABLE goldseam_leases (
    name text NOT NULL PRIMARY KEY,
    holder text NOT NULL,
    token bigint NOT NULL,
    until_us bigint NOT NULL
);
