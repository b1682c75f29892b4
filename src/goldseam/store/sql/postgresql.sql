What PostgreSQL says differently.

-- event_columns --
position, stream, version, type, type_version, payload, recorded_us, uuid_send(id), metadata,
checksum

-- category_of_stream --
split_part(stream, '-', 1)

-- append --
SELECT slot, outcome::text, version, first_position, last_position FROM goldseam_append(
    :a_tenant, :a_events, :a_first_id, :a_key, :a_fingerprint, :a_fence, :a_token,
    :s_append, :s_tenant, :s_stream, :s_expected,
    :e_slot, :e_ordinal, :e_id, :e_type, :e_type_version, :e_recorded_us, :e_metadata,
    :e_payload, :e_checksum, :e_link)

-- append_one --
SELECT slot, outcome::text, version, first_position, last_position FROM goldseam_append_one(
    :tenant, :stream, :expected, :id, :type, :type_version, :recorded_us, :metadata,
    :payload, :checksum, :link)
