-- Who may lead for how long; the token grows with every change of hands and is never given twice.

CREATE TABLE goldseam_leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    token INTEGER NOT NULL,
    until_us INTEGER NOT NULL
) STRICT;
