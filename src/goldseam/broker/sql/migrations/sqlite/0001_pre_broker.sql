-- The embedded broker: topics as tables in the shape of a log, and the groups that read them.

CREATE TABLE goldseam_topics (
    topic TEXT NOT NULL PRIMARY KEY,
    partitions INTEGER NOT NULL CHECK (partitions > 0),
    config TEXT NOT NULL
) STRICT;

CREATE TABLE goldseam_partitions (
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    low INTEGER NOT NULL,
    high INTEGER NOT NULL,
    PRIMARY KEY (topic, number)
) STRICT;

CREATE TABLE goldseam_records (
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    record_key BLOB,
    value BLOB,
    headers BLOB NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    stored_ms INTEGER NOT NULL,
    PRIMARY KEY (topic, number, record_offset)
) STRICT;

CREATE TABLE goldseam_groups (
    group_name TEXT NOT NULL PRIMARY KEY,
    generation INTEGER NOT NULL
) STRICT;

CREATE TABLE goldseam_members (
    group_name TEXT NOT NULL,
    member TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    instance TEXT,
    topics TEXT NOT NULL,
    session_us INTEGER NOT NULL,
    seen_us INTEGER NOT NULL,
    PRIMARY KEY (group_name, member)
) STRICT;

CREATE TABLE goldseam_assignments (
    group_name TEXT NOT NULL,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    owner TEXT,
    wanted_by TEXT,
    PRIMARY KEY (group_name, topic, number)
) STRICT;

CREATE TABLE goldseam_group_offsets (
    group_name TEXT NOT NULL,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (group_name, topic, number)
) STRICT;
