-- The embedded broker: topics as tables in the shape of a log, and the groups that read them.

CREATE TABLE goldseam_topics (
    topic text NOT NULL PRIMARY KEY,
    partitions bigint NOT NULL CHECK (partitions > 0),
    config text NOT NULL
);

CREATE TABLE goldseam_partitions (
    topic text NOT NULL,
    number bigint NOT NULL,
    low bigint NOT NULL,
    high bigint NOT NULL,
    PRIMARY KEY (topic, number)
);

CREATE TABLE goldseam_records (
    topic text NOT NULL,
    number bigint NOT NULL,
    record_offset bigint NOT NULL,
    record_key bytea,
    value bytea,
    headers bytea NOT NULL,
    timestamp_ms bigint NOT NULL,
    stored_ms bigint NOT NULL,
    PRIMARY KEY (topic, number, record_offset)
);

CREATE TABLE goldseam_groups (
    group_name text NOT NULL PRIMARY KEY,
    generation bigint NOT NULL
);

CREATE TABLE goldseam_members (
    group_name text NOT NULL,
    member text NOT NULL,
    incarnation text NOT NULL,
    instance text,
    topics text NOT NULL,
    session_us bigint NOT NULL,
    seen_us bigint NOT NULL,
    PRIMARY KEY (group_name, member)
);

CREATE TABLE goldseam_assignments (
    group_name text NOT NULL,
    topic text NOT NULL,
    number bigint NOT NULL,
    owner text,
    wanted_by text,
    PRIMARY KEY (group_name, topic, number)
);

CREATE TABLE goldseam_group_offsets (
    group_name text NOT NULL,
    topic text NOT NULL,
    number bigint NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (group_name, topic, number)
);
