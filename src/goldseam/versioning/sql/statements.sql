Statements of the schema registry that both dialects share. ":name" is a parameter. The subject ''
stands for all subjects that have no setting of their own.

-- lock --
SELECT 1

-- add_schema --
INSERT INTO goldseam_schemas (fingerprint, schema_type, body)
VALUES (:fingerprint, :schema_type, :body) ON CONFLICT (fingerprint) DO NOTHING

-- schema_by_fingerprint --
SELECT id FROM goldseam_schemas WHERE fingerprint = :fingerprint

-- fingerprints --
SELECT id, fingerprint FROM goldseam_schemas ORDER BY id

-- schema_by_id --
SELECT schema_type, body FROM goldseam_schemas WHERE id = :id

-- versions_of --
SELECT v.version, s.id, s.schema_type, s.body, v.deleted, s.fingerprint
FROM goldseam_schema_versions v JOIN goldseam_schemas s ON s.id = v.schema_id
WHERE v.subject = :subject ORDER BY v.version

-- add_version --
INSERT INTO goldseam_schema_versions (subject, version, schema_id, recorded_us)
VALUES (:subject, :version, :schema_id, :now)

-- undelete --
UPDATE goldseam_schema_versions SET deleted = 0
WHERE subject = :subject AND version = :version

-- soft_delete --
UPDATE goldseam_schema_versions SET deleted = 1
WHERE subject = :subject AND version = :version

-- hard_delete --
DELETE FROM goldseam_schema_versions WHERE subject = :subject AND version = :version

-- subjects --
SELECT subject, min(deleted) FROM goldseam_schema_versions GROUP BY subject ORDER BY subject

-- uses_of --
SELECT subject, version FROM goldseam_schema_versions
WHERE schema_id = :id AND deleted = 0 ORDER BY subject, version

-- setting --
SELECT value FROM goldseam_schema_settings WHERE subject = :subject AND setting = :setting

-- put_setting --
INSERT INTO goldseam_schema_settings (subject, setting, value)
VALUES (:subject, :setting, :value)
ON CONFLICT (subject, setting) DO UPDATE SET value = excluded.value

-- delete_setting --
DELETE FROM goldseam_schema_settings WHERE subject = :subject AND setting = :setting
