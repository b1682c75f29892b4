Statements of the evolution gate as PostgreSQL needs them.

-- event_columns --
position, stream, version, type, type_version, payload, recorded_us, uuid_send(id), metadata,
checksum, tenant
