Statements of forgetting that both dialects share. ":name" is a parameter, "{name}" another
statement. The first ones are about the event store, the last about the key store.

-- wanted --
(SELECT CAST(value AS TEXT) AS subject FROM json_each(:subjects))

-- rows --
(SELECT json_extract(value, '$[0]') AS subject, json_extract(value, '$[1]') AS forgotten_us
 FROM json_each(:rows))

-- erasures --
SELECT e.subject, e.forgotten_us, e.steps FROM {wanted} w
JOIN goldseam_erasures e ON e.tenant = :tenant AND e.subject = w.subject

-- keep_erasures --
INSERT INTO goldseam_erasures AS old (tenant, subject, forgotten_us, steps, updated_us)
SELECT :tenant, r.subject, r.forgotten_us, :steps, :now FROM {rows} r WHERE true
ON CONFLICT (tenant, subject) DO UPDATE
SET forgotten_us = excluded.forgotten_us, steps = excluded.steps, updated_us = excluded.updated_us

-- snapshots_about --
SELECT stream, kind FROM goldseam_snapshots
WHERE tenant = :tenant AND {has_needle} ORDER BY stream, kind LIMIT :limit

-- has_needle --
instr(state, :needle) > 0

-- delete_snapshot --
DELETE FROM goldseam_snapshots WHERE tenant = :tenant AND stream = :stream AND kind = :kind

-- overwrite_deleted --
PRAGMA secure_delete = ON

-- free_pages --
SELECT freelist_count FROM pragma_freelist_count

-- page_bytes --
SELECT page_size FROM pragma_page_size

-- make_filler --
CREATE TABLE goldseam_filler (zeros BLOB)

-- fill --
INSERT INTO goldseam_filler VALUES (zeroblob(:bytes))

-- drop_filler --
DROP TABLE goldseam_filler

-- empty_wal --
PRAGMA wal_checkpoint(TRUNCATE)

-- key_rows --
SELECT count(*) FROM goldseam_subject_keys WHERE tenant = :tenant AND subject = :subject

-- epochs --
SELECT id, state, material FROM goldseam_epochs ORDER BY number

-- main_file --
SELECT file FROM pragma_database_list WHERE name = 'main'

-- tables --
SELECT name FROM sqlite_master WHERE type = 'table'

-- has_no_rowid --
SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = :name
