What PostgreSQL says in another way.

-- take_turns --
SELECT pg_advisory_xact_lock(1735355494, hashtext(current_schema() || '.' || :projection))

-- lock_checkpoints --
SELECT {checkpoint_columns} FROM goldseam_checkpoints
WHERE projection = :projection ORDER BY colour FOR UPDATE

-- change_feed --
CREATE TABLE IF NOT EXISTS @feed@ (
    position bigint PRIMARY KEY,
    row_key text NOT NULL,
    operation text NOT NULL,
    row_json text NOT NULL,
    changed_us bigint NOT NULL
);

-- change_feed_trigger --
CREATE OR REPLACE FUNCTION @feed@_@operation@() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a change of @table@ needs READ COMMITTED, this transaction is %',
            upper(current_setting('transaction_isolation'));
    END IF;
    PERFORM pg_advisory_xact_lock(1735355495, TG_RELID::integer);
    INSERT INTO @feed@ (position, row_key, operation, row_json, changed_us)
    SELECT coalesce(max(position), 0) + 1, CAST(@row@.@key@ AS text), '@operation@',
           CAST(json_build_object(@pairs@) AS text),
           CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)
    FROM @feed@;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER @feed@_@operation@ AFTER @verb@ ON @table@
FOR EACH ROW EXECUTE FUNCTION @feed@_@operation@();
