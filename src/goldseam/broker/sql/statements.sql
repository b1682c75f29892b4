Statements of the embedded broker. ":name" is a parameter, "{name}" another statement.

-- topics --
SELECT topic, partitions, config FROM goldseam_topics ORDER BY topic

-- create_topic --
INSERT INTO goldseam_topics (topic, partitions, config) VALUES (:topic, :partitions, :config)
ON CONFLICT (topic) DO NOTHING
RETURNING topic

-- create_partition --
INSERT INTO goldseam_partitions (topic, number, low, high) VALUES (:topic, :number, 0, 0)
ON CONFLICT (topic, number) DO NOTHING

-- partitions_of --
SELECT partitions FROM goldseam_topics WHERE topic = :topic

-- spans --
SELECT number, low, high FROM goldseam_partitions WHERE topic = :topic ORDER BY number

-- span --
SELECT low, high FROM goldseam_partitions WHERE topic = :topic AND number = :number

-- reserve --
UPDATE goldseam_partitions SET high = high + :count
WHERE topic = :topic AND number = :number
RETURNING high

-- insert_record --
INSERT INTO goldseam_records
    (topic, number, record_offset, record_key, value, headers, timestamp_ms, stored_ms)
VALUES (:topic, :number, :offset, :key, :value, :headers, :timestamp_ms, :stored_ms)

-- read --
SELECT record_offset, record_key, value, headers, timestamp_ms FROM goldseam_records
WHERE topic = :topic AND number = :number AND record_offset >= :offset
ORDER BY record_offset LIMIT :limit

-- first_kept --
SELECT record_offset FROM goldseam_records
WHERE topic = :topic AND number = :number AND stored_ms >= :before_ms
ORDER BY record_offset LIMIT 1

-- drop_below --
DELETE FROM goldseam_records
WHERE topic = :topic AND number = :number AND record_offset < :offset

-- raise_low --
UPDATE goldseam_partitions SET low = :low WHERE topic = :topic AND number = :number AND low < :low

-- make_group --
INSERT INTO goldseam_groups (group_name, generation) VALUES (:group, 0)
ON CONFLICT (group_name) DO NOTHING

-- lock_group --
UPDATE goldseam_groups SET generation = generation + :more WHERE group_name = :group
RETURNING generation

-- groups --
SELECT group_name FROM goldseam_groups ORDER BY group_name

-- members --
SELECT member, incarnation, instance, topics, session_us, seen_us FROM goldseam_members
WHERE group_name = :group ORDER BY member

-- put_member --
INSERT INTO goldseam_members
    (group_name, member, incarnation, instance, topics, session_us, seen_us)
VALUES (:group, :member, :incarnation, :instance, :topics, :session_us, :seen_us)
ON CONFLICT (group_name, member) DO UPDATE SET incarnation = excluded.incarnation,
    topics = excluded.topics, session_us = excluded.session_us, seen_us = excluded.seen_us

-- seen --
UPDATE goldseam_members SET seen_us = :seen_us
WHERE group_name = :group AND member = :member AND incarnation = :incarnation
RETURNING member

-- incarnation --
SELECT incarnation FROM goldseam_members WHERE group_name = :group AND member = :member

-- delete_member --
DELETE FROM goldseam_members
WHERE group_name = :group AND member = :member AND incarnation = :incarnation
RETURNING member

-- remove_member --
DELETE FROM goldseam_members WHERE group_name = :group AND member = :member

-- assignments --
SELECT topic, number, owner, wanted_by FROM goldseam_assignments
WHERE group_name = :group ORDER BY topic, number

-- put_assignment --
INSERT INTO goldseam_assignments (group_name, topic, number, owner, wanted_by)
VALUES (:group, :topic, :number, :owner, :wanted_by)
ON CONFLICT (group_name, topic, number) DO UPDATE SET owner = excluded.owner,
    wanted_by = excluded.wanted_by

-- offsets --
SELECT topic, number, next_offset FROM goldseam_group_offsets
WHERE group_name = :group ORDER BY topic, number

-- put_offset --
INSERT INTO goldseam_group_offsets (group_name, topic, number, next_offset)
VALUES (:group, :topic, :number, :next_offset)
ON CONFLICT (group_name, topic, number) DO UPDATE SET next_offset = excluded.next_offset
