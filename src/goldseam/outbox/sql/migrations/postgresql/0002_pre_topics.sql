-- Where a relay has sent something: what a reader of all of it must read.

CREATE TABLE goldseam_relay_topics (
    relay text NOT NULL,
    topic text NOT NULL,
    PRIMARY KEY (relay, topic)
);
