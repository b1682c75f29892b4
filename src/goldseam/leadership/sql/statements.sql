Statements of the leases. ":name" is a parameter, "{name}" another statement.

-- acquire --
INSERT INTO goldseam_leases (name, holder, token, until_us) VALUES (:name, :holder, 1, :until_us)
ON CONFLICT (name) DO UPDATE
    SET holder = excluded.holder, token = goldseam_leases.token + 1, until_us = excluded.until_us
    WHERE goldseam_leases.until_us < :now_us OR goldseam_leases.holder = excluded.holder
RETURNING token

-- renew --
UPDATE goldseam_leases SET until_us = :until_us WHERE name = :name AND token = :token
RETURNING token

-- release --
UPDATE goldseam_leases SET until_us = 0 WHERE name = :name AND token = :token

-- lease --
SELECT holder, token, until_us FROM goldseam_leases WHERE name = :name

-- living --
SELECT holder FROM goldseam_leases
WHERE substr(name, 1, CAST(:length AS integer)) = :prefix AND until_us >= :now_us ORDER BY holder
