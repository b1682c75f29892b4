What PostgreSQL says in another way.

-- take_turns --
SELECT pg_advisory_xact_lock(1735355494, hashtext(current_schema() || '.' || :projection))

-- lock_checkpoints --
SELECT {checkpoint_columns} FROM goldseam_checkpoints
WHERE projection = :projection ORDER BY colour FOR UPDATE
