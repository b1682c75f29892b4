Statements of the key store that both dialects share. ":name" is a parameter, "{name}" another
statement.

-- harden --
SELECT 1

-- lock_shared --
SELECT 1

-- lock_alone --
SELECT 1

-- durable --
SELECT 1

-- wanted --
(SELECT CAST(value AS TEXT) AS subject FROM json_each(:subjects))

-- rows --
(SELECT json_extract(value, '$[0]') AS tenant, json_extract(value, '$[1]') AS subject,
        json_extract(value, '$[2]') AS key_version, json_extract(value, '$[3]') AS wrapped
 FROM json_each(:rows))

-- find --
SELECT s.subject, s.state, s.key_version, e.id, e.material, k.wrapped
FROM {wanted} w
CROSS JOIN goldseam_subjects s
LEFT JOIN goldseam_subject_keys k
  ON k.tenant = s.tenant AND k.subject = s.subject AND k.key_version = s.key_version
LEFT JOIN goldseam_epochs e ON e.number = k.epoch
WHERE s.tenant = :tenant AND s.subject = w.subject

-- epochs --
SELECT number, id, state, material FROM goldseam_epochs WHERE state <> 'destroyed' ORDER BY number

-- current_number --
SELECT number FROM goldseam_epochs WHERE state = 'current' AND id = :epoch

-- insert_epoch --
INSERT INTO goldseam_epochs (number, id, state, material, created_us)
SELECT coalesce(max(number), 0) + 1, :epoch, 'creating', '', :now FROM goldseam_epochs

-- retire_epoch --
UPDATE goldseam_epochs SET state = 'retiring' WHERE state = 'current'

-- start_epoch --
UPDATE goldseam_epochs SET state = 'current', material = :material
WHERE number = :number AND state = 'creating'

-- destroyed_epoch --
UPDATE goldseam_epochs SET state = 'destroyed', material = '', destroyed_us = :now
WHERE number = :number AND state = 'retiring'

-- touch_epoch --
UPDATE goldseam_epochs SET state = state WHERE number = :number

-- state_of_epoch --
SELECT state FROM goldseam_epochs WHERE number = :number

-- keys_of_epoch --
SELECT count(*) FROM (SELECT 1 FROM goldseam_subject_keys WHERE epoch = :number LIMIT 1) one

-- add_subjects --
INSERT INTO goldseam_subjects (tenant, subject, state, key_version)
SELECT r.tenant, r.subject, 'active', r.key_version FROM {rows} r WHERE true
ON CONFLICT DO NOTHING
RETURNING subject

-- add_keys --
INSERT INTO goldseam_subject_keys (tenant, subject, key_version, epoch, wrapped, created_us)
SELECT r.tenant, r.subject, r.key_version, :number, r.wrapped, :now FROM {rows} r

-- page_of_keys --
SELECT tenant, subject, key_version, wrapped FROM goldseam_subject_keys
WHERE epoch = :number AND (tenant, subject, key_version) > (:tenant, :subject, :key_version)
ORDER BY tenant, subject, key_version LIMIT :limit

-- rewrap --
UPDATE goldseam_subject_keys SET epoch = :number, wrapped = r.wrapped
FROM {rows} r
WHERE goldseam_subject_keys.tenant = r.tenant AND goldseam_subject_keys.subject = r.subject
  AND goldseam_subject_keys.key_version = r.key_version AND goldseam_subject_keys.epoch = :old

-- record_erasure --
INSERT INTO goldseam_subjects (tenant, subject, state, key_version, forgotten_us, reason, steps)
SELECT :tenant, w.subject, 'forgotten', 0, :now, :reason, 'recorded' FROM {wanted} w WHERE true
ON CONFLICT (tenant, subject) DO UPDATE
SET state = 'forgotten', forgotten_us = :now, reason = :reason, steps = 'recorded'
WHERE goldseam_subjects.state <> 'forgotten'
RETURNING subject

-- delete_keys --
DELETE FROM goldseam_subject_keys WHERE (tenant, subject) IN
    (SELECT tenant, subject FROM goldseam_subjects WHERE steps = 'recorded')

-- mark_deleted --
UPDATE goldseam_subjects SET steps = 'deleted',
    epoch = CASE WHEN key_version = 0 THEN 0 ELSE
        (SELECT coalesce(max(number), 0) FROM goldseam_epochs WHERE state = 'current') END
WHERE steps = 'recorded'

-- newest_open_erasure --
SELECT coalesce(max(epoch), 0), count(*) FROM goldseam_subjects WHERE steps = 'deleted'

-- mark_done --
UPDATE goldseam_subjects SET steps = 'done' WHERE steps = 'deleted' AND epoch <
    (SELECT coalesce(min(number), 1) FROM goldseam_epochs WHERE state <> 'destroyed')

-- readmit --
UPDATE goldseam_subjects SET state = 'readmitted', key_version = :key_version
WHERE tenant = :tenant AND subject = :subject AND state = 'forgotten' AND steps = 'done'
  AND key_version = :key_version - 1
RETURNING subject

-- subject_columns --
tenant, subject, state, key_version, forgotten_us, reason, steps

-- subject --
SELECT {subject_columns} FROM goldseam_subjects WHERE tenant = :tenant AND subject = :subject

-- subjects --
SELECT {subject_columns} FROM goldseam_subjects
WHERE tenant = :tenant AND subject > :after AND (:state = '' OR state = :state)
ORDER BY subject LIMIT :limit

-- open_erasures --
SELECT {subject_columns} FROM goldseam_subjects WHERE steps IN ('recorded', 'deleted')
ORDER BY tenant, subject LIMIT :limit

-- count_subjects --
SELECT state, steps IN ('recorded', 'deleted'), count(*) FROM goldseam_subjects GROUP BY 1, 2

-- write_position --
SELECT ''

-- standbys_behind --
SELECT 0

-- wipe --
PRAGMA wal_checkpoint(TRUNCATE)
