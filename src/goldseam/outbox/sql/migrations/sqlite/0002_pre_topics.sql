-- Where a relay has sent something: what a reader of all of it must read.

CREATE TABLE goldseam_relay_topics (
    relay TEXT NOT NULL,
    topic TEXT NOT NULL,
    PRIMARY KEY (relay, topic)
) STRICT;
