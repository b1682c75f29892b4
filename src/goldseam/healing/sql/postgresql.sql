What PostgreSQL says differently.

-- event_columns --
position, stream, version, type, type_version, payload, recorded_us, uuid_send(id), metadata,
checksum

-- names --
SELECT jsonb_array_elements_text(CAST(:names AS jsonb))

-- columns --
SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(quote_ident(:table))
AND attnum > 0 AND NOT attisdropped ORDER BY attnum
