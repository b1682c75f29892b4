Statements of the relay and the outbox. ":name" is a parameter, "{name}" another statement.

-- claim_checkpoint --
INSERT INTO goldseam_relay_checkpoints (relay, shard, shards, position, token, updated_us)
VALUES (:relay, :shard, :shards, 0, :token, :now_us)
ON CONFLICT (relay, shard) DO UPDATE SET token = excluded.token
    WHERE goldseam_relay_checkpoints.token <= excluded.token
RETURNING position, shards

-- advance_checkpoint --
UPDATE goldseam_relay_checkpoints SET position = :position, updated_us = :now_us
WHERE relay = :relay AND shard = :shard AND token = :token AND position <= :position
RETURNING position

-- checkpoints --
SELECT shard, shards, position, token, updated_us FROM goldseam_relay_checkpoints
WHERE relay = :relay ORDER BY shard

-- relays --
SELECT DISTINCT relay FROM goldseam_relay_checkpoints ORDER BY relay

-- forget_checkpoints --
DELETE FROM goldseam_relay_checkpoints WHERE relay = :relay

-- put_checkpoint --
INSERT INTO goldseam_relay_checkpoints (relay, shard, shards, position, token, updated_us)
VALUES (:relay, :shard, :shards, :position, 0, :now_us)

-- next_in_lane --
INSERT INTO goldseam_outbox_heads (lane, position) VALUES (:lane, 1)
ON CONFLICT (lane) DO UPDATE SET position = goldseam_outbox_heads.position + 1
RETURNING position

-- add --
INSERT INTO goldseam_outbox (lane, position, topic, record_key, type, type_version, payload,
    metadata, event_id, tenant, added_us)
VALUES (:lane, :position, :topic, :key, :type, :type_version, :payload, :metadata, :event_id,
    :tenant, :added_us)

-- lane_page --
SELECT position, topic, record_key, type, type_version, payload, metadata, event_id, tenant,
       added_us
FROM goldseam_outbox WHERE lane = :lane AND position > :after ORDER BY position LIMIT :limit

-- lane_head --
SELECT position FROM goldseam_outbox_heads WHERE lane = :lane

-- lane_oldest --
SELECT added_us FROM goldseam_outbox WHERE lane = :lane AND position > :after
ORDER BY position LIMIT 1

-- prune_lane --
DELETE FROM goldseam_outbox WHERE lane = :lane AND position <= :until AND position IN (
    SELECT position FROM goldseam_outbox
    WHERE lane = :lane AND position <= :until AND added_us < :before_us
    ORDER BY position LIMIT :limit)
RETURNING position

-- add_topic --
INSERT INTO goldseam_relay_topics (relay, topic) VALUES (:relay, :topic)
ON CONFLICT (relay, topic) DO NOTHING

-- relay_topics --
SELECT topic FROM goldseam_relay_topics WHERE relay = :relay ORDER BY topic
