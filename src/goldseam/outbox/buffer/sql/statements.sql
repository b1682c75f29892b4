-- claim --
UPDATE goldseam_buffer_totals SET epoch = epoch + 1 WHERE id = 1 RETURNING epoch, records, bytes

-- add --
UPDATE goldseam_buffer_totals SET records = records + :records, bytes = bytes + :bytes
WHERE id = 1 AND epoch = :epoch
RETURNING records, bytes

-- insert --
INSERT INTO goldseam_buffer (written_us, size, checksum, record)
VALUES (:written_us, :size, :checksum, :record)

-- head --
SELECT number, written_us, size, checksum, record FROM goldseam_buffer
WHERE aside_us IS NULL ORDER BY number LIMIT :limit

-- sums --
SELECT count(*), coalesce(sum(size), 0) FROM goldseam_buffer
WHERE aside_us IS NULL AND number BETWEEN :first AND :last

-- remove --
DELETE FROM goldseam_buffer WHERE aside_us IS NULL AND number BETWEEN :first AND :last

-- set_aside --
UPDATE goldseam_buffer SET aside_us = :now WHERE number = :number AND aside_us IS NULL
RETURNING number

-- aside --
SELECT number, written_us, size, checksum, record FROM goldseam_buffer
WHERE aside_us IS NOT NULL ORDER BY number LIMIT :limit

-- totals --
SELECT records, bytes FROM goldseam_buffer_totals WHERE id = 1
