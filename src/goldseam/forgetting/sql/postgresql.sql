What PostgreSQL says in another way.

-- wanted --
(SELECT value AS subject FROM json_array_elements_text(CAST(:subjects AS json)) AS value)

-- rows --
(SELECT value ->> 0 AS subject, CAST(value ->> 1 AS bigint) AS forgotten_us
 FROM json_array_elements(CAST(:rows AS json)) AS value)

-- has_needle --
position(CAST(:needle AS bytea) IN state) > 0

-- checkpoint --
CHECKPOINT

-- next_wal_file --
SELECT CAST(pg_switch_wal() AS text)

-- data_directory --
SELECT current_setting('data_directory')

-- tables --
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema())) AND c.relkind IN ('r', 'm')

-- blocks --
SELECT pg_relation_size(to_regclass(:name)) / CAST(current_setting('block_size') AS bigint)
