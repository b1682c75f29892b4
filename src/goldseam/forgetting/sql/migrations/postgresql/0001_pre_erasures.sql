-- How far this store has followed each erasure that the key store has recorded.

CREATE TABLE goldseam_erasures (
    tenant text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    forgotten_us bigint NOT NULL,
    steps text NOT NULL,
    updated_us bigint NOT NULL,
    PRIMARY KEY (tenant, subject)
);
