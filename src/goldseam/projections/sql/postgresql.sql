What PostgreSQL says in another way.

-- lock_checkpoints --
SELECT {checkpoint_columns} FROM goldseam_checkpoints
WHERE projection = :projection ORDER BY colour FOR UPDATE
