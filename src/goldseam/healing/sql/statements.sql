Statements of healing that both dialects share.
 ":name" is a parameter, "{name}" another statement.

-- event_columns --
position, stream, version, type, type_version, payload, recorded_us, id, metadata, checksum

-- corrections --
SELECT {event_columns} FROM goldseam_events
WHERE tenant = :tenant AND type IN ({names}) AND position > :after AND position <= :until
ORDER BY position LIMIT :limit

-- names --
SELECT value FROM json_each(:names)

-- columns --
SELECT name FROM pragma_table_info(:table)

-- propose --
INSERT INTO goldseam_heal_proposals
    (id, tenant, event_id, changes, reason, ticket, proposed_by, proposed_us, expires_us)
VALUES (:id, :tenant, :event_id, :changes, :reason, :ticket, :proposed_by, :now, :expires_us)

-- proposal --
SELECT {proposal_columns} FROM goldseam_heal_proposals WHERE tenant = :tenant AND id = :id

-- proposals_open --
SELECT {proposal_columns} FROM goldseam_heal_proposals
WHERE tenant = :tenant AND decision = '' AND expires_us > :now
ORDER BY proposed_us, id LIMIT :limit

-- proposal_columns --
id, event_id, changes, reason, ticket, proposed_by, proposed_us, expires_us, decision, decided_by,
decided_us

-- decide --
UPDATE goldseam_heal_proposals
SET decision = :decision, decided_by = :decided_by, decided_us = :now
WHERE tenant = :tenant AND id = :id AND decision = ''
RETURNING id

-- taken_in --
SELECT until FROM goldseam_corrections_taken_in
WHERE projection = :projection AND generation = :generation

-- take_in --
INSERT INTO goldseam_corrections_taken_in (projection, generation, until)
VALUES (:projection, :generation, :until)
ON CONFLICT (projection, generation) DO UPDATE SET until = excluded.until
WHERE excluded.until > goldseam_corrections_taken_in.until
