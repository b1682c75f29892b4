-- The log: events, and what the append compares inside its own transaction.

CREATE TABLE goldseam_store (
    one integer PRIMARY KEY CHECK (one = 1),
    id uuid NOT NULL,
    created_us bigint NOT NULL
);

CREATE TABLE goldseam_events (
    position bigint CONSTRAINT goldseam_events_position PRIMARY KEY,
    recorded_us bigint NOT NULL,
    version bigint NOT NULL,
    checksum bigint NOT NULL,
    id uuid NOT NULL,
    type_version smallint NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    metadata bytea NOT NULL,
    payload bytea NOT NULL,
    chain bytea NOT NULL,
    CONSTRAINT goldseam_events_stream UNIQUE (tenant, stream, version),
    CONSTRAINT goldseam_events_id UNIQUE (tenant, id)
);

CREATE INDEX goldseam_events_category
    ON goldseam_events (tenant, split_part(stream, '-', 1), position);

CREATE INDEX goldseam_events_tenant ON goldseam_events (tenant, position) WHERE tenant <> 'main';

CREATE TABLE goldseam_keys (
    tenant text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    recorded_us bigint NOT NULL,
    PRIMARY KEY (tenant, key)
);

CREATE TABLE goldseam_fences (
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    token bigint NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE goldseam_snapshots (
    tenant text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    schema_hash text NOT NULL,
    state bytea NOT NULL,
    checksum bigint NOT NULL,
    recorded_us bigint NOT NULL,
    PRIMARY KEY (tenant, stream, kind)
);

CREATE FUNCTION goldseam_refuse_mutation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are immutable: append a correction instead of %', TG_OP
        USING ERRCODE = 'GS002';
END $$;

CREATE TRIGGER goldseam_events_immutable BEFORE UPDATE OR DELETE ON goldseam_events
    FOR EACH ROW EXECUTE FUNCTION goldseam_refuse_mutation();

CREATE TRIGGER goldseam_events_no_truncate BEFORE TRUNCATE ON goldseam_events
    FOR EACH STATEMENT EXECUTE FUNCTION goldseam_refuse_mutation();

ALTER TABLE goldseam_events ENABLE ALWAYS TRIGGER goldseam_events_immutable;
ALTER TABLE goldseam_events ENABLE ALWAYS TRIGGER goldseam_events_no_truncate;

-- Stores the appends of one group commit. a_*: one element for each append; s_*: one for each
-- stream of an append (s_append says which); e_*: one for each event (e_slot says which stream).
-- This is the careful way: it looks at keys, fences and ids, and refuses an append alone.
-- Answers one letter for each append, one version for each stream (after the append where it was
-- stored), the positions of each append, and for each append the token it was fenced by.
--   C committed   R replayed (stored before)   V version conflict
--   F fenced      M key or id used with another content
CREATE FUNCTION goldseam_append_carefully(
    a_tenant text[], a_events integer[], a_first_id uuid[],
    a_key text[], a_fingerprint bytea[], a_fence text[], a_token bigint[],
    s_append integer[], s_tenant text[], s_stream text[], s_expected bigint[], s_events integer[],
    e_slot integer[], e_ordinal integer[], e_id uuid[], e_type text[], e_type_version smallint[],
    e_recorded_us bigint[], e_metadata bytea[], e_payload bytea[], e_checksum bigint[],
    e_link bytea[]
) RETURNS TABLE (outcomes text, versions bigint[], firsts bigint[], lasts bigint[], tokens bigint[])
LANGUAGE plpgsql
-- A plan made while the log was empty must not scan it when it is long.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    head bigint;
    chains bytea[];
    verdicts "char"[];
    accepted boolean[] := array_fill(true, ARRAY[cardinality(s_append)]);
    total integer := 0;
    known record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'an append needs READ COMMITTED, this transaction is %',
            upper(current_setting('transaction_isolation')) USING ERRCODE = 'GS001';
    END IF;
    PERFORM pg_advisory_xact_lock(1735355492, '@schema@.goldseam_events'::regclass::oid::integer);

    -- From here on nobody else appends to this store, and each statement sees all that did.
    SELECT coalesce(max(e.position), 0) INTO head FROM @schema@.goldseam_events e;
    SELECT array_agg(coalesce(last.version, 0) ORDER BY s.i),
           array_agg(coalesce(last.chain, ''::bytea) ORDER BY s.i)
      INTO versions, chains
      FROM unnest(s_tenant, s_stream) WITH ORDINALITY AS s (tenant, stream, i)
      LEFT JOIN LATERAL (
          SELECT e.version, e.chain FROM @schema@.goldseam_events e
           WHERE e.tenant = s.tenant AND e.stream = s.stream
           ORDER BY e.version DESC LIMIT 1) last ON true;

    verdicts := array_fill('C'::"char", ARRAY[cardinality(a_events)]);
    firsts := array_fill(0::bigint, ARRAY[cardinality(a_events)]);
    lasts := firsts;
    tokens := firsts;

    FOR i IN 1 .. cardinality(s_append) LOOP
        IF NOT (s_expected[i] = versions[i] OR s_expected[i] = -2
                OR (s_expected[i] = -1 AND versions[i] > 0)) THEN
            verdicts[s_append[i]] := 'V';
        END IF;
    END LOOP;

    IF a_fence IS NOT NULL THEN
        FOR known IN
            SELECT a.i, f.token
              FROM unnest(a_tenant, a_fence, a_token) WITH ORDINALITY AS a (tenant, name, token, i)
              JOIN @schema@.goldseam_fences f ON f.tenant = a.tenant AND f.name = a.name AND f.token > a.token
        LOOP
            verdicts[known.i] := 'F';
            tokens[known.i] := known.token;
        END LOOP;
    END IF;

    -- An id that is there already: a retry whose first answer was lost, or a reused id.
    IF EXISTS (SELECT FROM unnest(a_tenant, a_first_id) AS a (tenant, id)
                 JOIN @schema@.goldseam_events e ON e.tenant = a.tenant AND e.id = a.id) THEN
        FOR known IN
            SELECT s_append[x.slot] AS i, count(e.position) AS found, min(e.position) AS first,
                   max(e.position) AS last,
                   bool_and(e.stream = s_stream[x.slot] AND e.type = x.type
                            AND e.type_version = x.type_version AND e.payload = x.payload) AS same
              FROM unnest(e_slot, e_id, e_type, e_type_version, e_payload)
                   AS x (slot, id, type, type_version, payload)
              LEFT JOIN @schema@.goldseam_events e ON e.tenant = s_tenant[x.slot] AND e.id = x.id
             GROUP BY s_append[x.slot]
        LOOP
            CONTINUE WHEN known.found = 0;
            verdicts[known.i] := CASE WHEN known.same AND known.found = a_events[known.i]
                                      THEN 'R' ELSE 'M' END;
            firsts[known.i] := known.first;
            lasts[known.i] := known.last;
        END LOOP;
    END IF;

    IF a_key IS NOT NULL THEN
        FOR known IN
            SELECT a.i, k.first_position AS first, k.last_position AS last,
                   k.fingerprint = a.fingerprint AS same
              FROM unnest(a_tenant, a_key, a_fingerprint) WITH ORDINALITY
                   AS a (tenant, key, fingerprint, i)
              JOIN @schema@.goldseam_keys k ON k.tenant = a.tenant AND k.key = a.key
        LOOP
            verdicts[known.i] := CASE WHEN known.same THEN 'R' ELSE 'M' END;
            firsts[known.i] := known.first;
            lasts[known.i] := known.last;
        END LOOP;
    END IF;

    FOR a IN 1 .. cardinality(a_events) LOOP
        IF verdicts[a] = 'C' THEN
            firsts[a] := head + total + 1;
            total := total + a_events[a];
            lasts[a] := head + total;
        END IF;
    END LOOP;
    FOR i IN 1 .. cardinality(s_append) LOOP
        accepted[i] := verdicts[s_append[i]] = 'C';
    END LOOP;

    IF total > 0 THEN
        INSERT INTO @schema@.goldseam_events (position, recorded_us, version, checksum, id, type_version,
                                     tenant, stream, type, metadata, payload, chain)
        SELECT head + x.n, x.recorded_us, versions[x.slot] + x.ordinal,
               x.checksum # (versions[x.slot] + x.ordinal) # (head + x.n),
               x.id, x.type_version, s_tenant[x.slot], s_stream[x.slot], x.type, x.metadata,
               x.payload, sha256(chains[x.slot] || x.link)
          FROM (SELECT e.*, row_number() OVER (ORDER BY e.i) AS n
                  FROM unnest(e_slot, e_ordinal, e_id, e_type, e_type_version, e_recorded_us,
                              e_metadata, e_payload, e_checksum, e_link) WITH ORDINALITY
                       AS e (slot, ordinal, id, type, type_version, recorded_us,
                             metadata, payload, checksum, link, i)
                 WHERE accepted[e.slot]) x;
        IF a_key IS NOT NULL THEN
            INSERT INTO @schema@.goldseam_keys
            SELECT a.tenant, a.key, a.fingerprint, firsts[a.i], lasts[a.i], e_recorded_us[1]
              FROM unnest(a_tenant, a_key, a_fingerprint) WITH ORDINALITY
                   AS a (tenant, key, fingerprint, i)
             WHERE a.key IS NOT NULL AND verdicts[a.i] = 'C';
        END IF;
        IF a_fence IS NOT NULL THEN
            INSERT INTO @schema@.goldseam_fences AS f
            SELECT a.tenant, a.name, max(a.token)
              FROM unnest(a_tenant, a_fence, a_token) WITH ORDINALITY AS a (tenant, name, token, i)
             WHERE a.name IS NOT NULL AND verdicts[a.i] = 'C' GROUP BY a.tenant, a.name
            ON CONFLICT (tenant, name) DO UPDATE SET token = EXCLUDED.token
             WHERE f.token < EXCLUDED.token;
        END IF;
        PERFORM pg_notify('goldseam_' || '@schema@.goldseam_events'::regclass::oid, (head + total)::text);
    END IF;

    FOR i IN 1 .. cardinality(s_append) LOOP
        IF accepted[i] THEN
            versions[i] := versions[i] + s_events[i];
        ELSIF verdicts[s_append[i]] = 'R' THEN
            versions[i] := (SELECT max(e.version) FROM @schema@.goldseam_events e
                             WHERE e.position BETWEEN firsts[s_append[i]] AND lasts[s_append[i]]
                               AND e.tenant = s_tenant[i] AND e.stream = s_stream[i]);
        END IF;
    END LOOP;
    outcomes := array_to_string(verdicts, '');
    RETURN NEXT;
END $$;

-- The quick way, for a batch without keys and fences in which every append holds: two look-ups
-- and one insert. Anything else is left to the careful way, in the same call. An id that is
-- stored already breaks the insert (unique violation): the caller then asks carefully.
CREATE FUNCTION goldseam_append(
    a_tenant text[], a_events integer[], a_first_id uuid[],
    a_key text[], a_fingerprint bytea[], a_fence text[], a_token bigint[],
    s_append integer[], s_tenant text[], s_stream text[], s_expected bigint[], s_events integer[],
    e_slot integer[], e_ordinal integer[], e_id uuid[], e_type text[], e_type_version smallint[],
    e_recorded_us bigint[], e_metadata bytea[], e_payload bytea[], e_checksum bigint[],
    e_link bytea[]
) RETURNS TABLE (outcomes text, versions bigint[], firsts bigint[], lasts bigint[], tokens bigint[])
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    head bigint;
    chains bytea[];
    all_hold boolean;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'an append needs READ COMMITTED, this transaction is %',
            upper(current_setting('transaction_isolation')) USING ERRCODE = 'GS001';
    END IF;
    PERFORM pg_advisory_xact_lock(1735355492, '@schema@.goldseam_events'::regclass::oid::integer);

    SELECT array_agg(s.version ORDER BY s.i), array_agg(s.chain ORDER BY s.i), bool_and(s.holds)
      INTO versions, chains, all_hold
      FROM (SELECT w.i, coalesce(last.version, 0) AS version,
                   coalesce(last.chain, ''::bytea) AS chain,
                   w.expected = coalesce(last.version, 0) OR w.expected = -2
                       OR (w.expected = -1 AND coalesce(last.version, 0) > 0) AS holds
              FROM unnest(s_tenant, s_stream, s_expected) WITH ORDINALITY
                   AS w (tenant, stream, expected, i)
              LEFT JOIN LATERAL (
                  SELECT e.version, e.chain FROM @schema@.goldseam_events e
                   WHERE e.tenant = w.tenant AND e.stream = w.stream
                   ORDER BY e.version DESC LIMIT 1) last ON true) s;
    IF NOT all_hold OR a_key IS NOT NULL OR a_fence IS NOT NULL THEN
        RETURN QUERY SELECT * FROM @schema@.goldseam_append_carefully(
            a_tenant, a_events, a_first_id, a_key, a_fingerprint, a_fence, a_token,
            s_append, s_tenant, s_stream, s_expected, s_events, e_slot, e_ordinal, e_id, e_type,
            e_type_version, e_recorded_us, e_metadata, e_payload, e_checksum, e_link);
        RETURN;
    END IF;

    SELECT coalesce(max(e.position), 0) INTO head FROM @schema@.goldseam_events e;
    INSERT INTO @schema@.goldseam_events
           (position, recorded_us, version, checksum, id, type_version, tenant, stream, type,
            metadata, payload, chain)
    SELECT head + x.i, x.recorded_us, versions[x.slot] + x.ordinal,
           x.checksum # (versions[x.slot] + x.ordinal) # (head + x.i),
           x.id, x.type_version, s_tenant[x.slot], s_stream[x.slot], x.type, x.metadata,
           x.payload, sha256(chains[x.slot] || x.link)
      FROM unnest(e_slot, e_ordinal, e_id, e_type, e_type_version, e_recorded_us,
                  e_metadata, e_payload, e_checksum, e_link) WITH ORDINALITY
           AS x (slot, ordinal, id, type, type_version, recorded_us,
                 metadata, payload, checksum, link, i);
    PERFORM pg_notify('goldseam_' || '@schema@.goldseam_events'::regclass::oid,
                      (head + cardinality(e_slot))::text);
    firsts := ARRAY[head];
    RETURN NEXT;
END $$;

-- The quickest way, for one append of one event without a key or a fence: what a lone writer sends.
-- Answers version and position. NULL: it was not stored, and goldseam_append_carefully has to say why.
CREATE FUNCTION goldseam_append_one(
    a_tenant text, a_stream text, a_expected bigint,
    a_id uuid, a_type text, a_type_version smallint, a_recorded_us bigint, a_metadata bytea,
    a_payload bytea, a_checksum bigint, a_link bytea
) RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    at_version bigint;
    at_position bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'an append needs READ COMMITTED, this transaction is %',
            upper(current_setting('transaction_isolation')) USING ERRCODE = 'GS001';
    END IF;
    PERFORM pg_advisory_xact_lock(1735355492, '@schema@.goldseam_events'::regclass::oid::integer);
    INSERT INTO @schema@.goldseam_events AS e
        (position, recorded_us, version, checksum, id, type_version, tenant, stream, type,
         metadata, payload, chain)
    SELECT old.next, a_recorded_us, old.version + 1, a_checksum # (old.version + 1) # old.next,
           a_id, a_type_version, a_tenant, a_stream, a_type, a_metadata, a_payload,
           sha256(old.chain || a_link)
      FROM (SELECT coalesce((SELECT l.position FROM @schema@.goldseam_events l
                              ORDER BY l.position DESC LIMIT 1), 0) + 1,
                   coalesce(last.version, 0), coalesce(last.chain, ''::bytea)
              FROM (SELECT) nothing LEFT JOIN (
                   SELECT l.version, l.chain FROM @schema@.goldseam_events l
                    WHERE l.tenant = a_tenant AND l.stream = a_stream
                    ORDER BY l.version DESC LIMIT 1) last ON true) old (next, version, chain)
     WHERE a_expected = old.version OR a_expected = -2 OR (a_expected = -1 AND old.version > 0)
    ON CONFLICT DO NOTHING
    RETURNING e.version, e.position INTO at_version, at_position;
    IF FOUND THEN
        PERFORM pg_notify('goldseam_' || '@schema@.goldseam_events'::regclass::oid,
                          at_position::text);
        RETURN ARRAY[at_version, at_position];
    END IF;
    RETURN NULL;
END $$;

CREATE VIEW goldseam_log AS
SELECT
    position, tenant, stream, version, id, type, type_version,
    to_timestamp(recorded_us / 1000000.0) AS recorded_at,
    convert_from(payload, 'UTF8') AS payload, convert_from(metadata, 'UTF8') AS metadata
FROM goldseam_events;
