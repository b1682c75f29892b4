What PostgreSQL says differently.

-- event_columns --
position, stream, version, type, type_version, payload, recorded_us, uuid_send(id), metadata,
checksum

-- category_of_stream --
split_part(stream, '-', 1)

-- append --
SELECT outcomes, versions, firsts, lasts, tokens FROM goldseam_append({append_arguments})

-- append_carefully --
SELECT outcomes, versions, firsts, lasts, tokens
FROM goldseam_append_carefully({append_arguments})

-- append_arguments --
:a_tenant, :a_events, :a_first_id, :a_key, :a_fingerprint, :a_fence, :a_token,
:s_append, :s_tenant, :s_stream, :s_expected, :s_events,
:e_slot, :e_ordinal, :e_id, :e_type, :e_type_version, :e_recorded_us, :e_metadata,
:e_payload, :e_checksum, :e_link

-- append_one --
SELECT goldseam_append_one(
    :tenant, :stream, :expected, :id, :type, :type_version, :recorded_us, :metadata,
    :payload, :checksum, :link)

-- immutability_expected --
goldseam_events_immutable goldseam_events_no_truncate

-- immutability_triggers --
SELECT tgname FROM pg_trigger
WHERE tgrelid = 'goldseam_events'::regclass AND tgenabled = 'A'
