What SQLite says in another way.

-- harden --
PRAGMA secure_delete = ON
