What SQLite says differently ("+tenant" keeps its planner from the tenant's index), and the append's single steps (PostgreSQL has them in one function).

-- category_of_stream --
substr(stream, 1, instr(stream || '-', '-') - 1)

-- in_main_tenant --
+tenant = 'main'

-- stream_head --
SELECT version, chain FROM goldseam_events
WHERE tenant = :tenant AND stream = :stream ORDER BY version DESC LIMIT 1

-- find_ids --
SELECT id, position, stream, type, type_version, payload FROM goldseam_events
WHERE tenant = :tenant AND id = :id

-- find_fence --
SELECT token FROM goldseam_fences WHERE tenant = :tenant AND name = :name

-- raise_fence --
INSERT INTO goldseam_fences (tenant, name, token) VALUES (:tenant, :name, :token)
ON CONFLICT (tenant, name) DO UPDATE SET token = max(token, excluded.token)

-- insert_key --
INSERT INTO goldseam_keys (tenant, key, fingerprint, first_position, last_position, recorded_us)
VALUES (:tenant, :key, :fingerprint, :first, :last, :recorded_us)

-- insert_event --
INSERT INTO goldseam_events
    (position, tenant, stream, version, id, type, type_version, recorded_us, metadata, payload,
     checksum, chain)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- immutability_expected --
goldseam_events_no_update goldseam_events_no_delete goldseam_events_no_replace

-- immutability_triggers --
SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'goldseam_events'
