-- +goose Up
-- The record of changes as Merkle logs. An entry is one row with the exact bytes of its leaf, written by audit_append in the
-- transaction of its change. A sequencer gives committed entries their places in the log of their project (0: the
-- platform's; -1: the log of the logs) and signs the whole with a key that is not here.

-- Owners of their own: the server's login may execute and read, whatever else it owns. Roles are of the whole server, so
-- another database of the same server may have made them already.
-- +goose StatementBegin
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['bulkhead_audit_owner', 'bulkhead_audit_sequencer'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- made by another database meanwhile
            END;
        END IF;
        IF NOT pg_has_role(current_user, role, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', role);
        END IF;
    END LOOP;
END
$$;
-- +goose StatementEnd
GRANT USAGE, CREATE ON SCHEMA bulkhead TO bulkhead_audit_owner;
GRANT USAGE ON SCHEMA bulkhead TO bulkhead_audit_sequencer;

DROP FUNCTION bulkhead.audit_append(smallint, text, text, text, text, text, text, text, text, bigint, text, bigint, text, json, json);
DROP TRIGGER audit_entry_keep_rows ON bulkhead.audit_entry;
DROP TRIGGER audit_entry_keep_all ON bulkhead.audit_entry;
ALTER TABLE bulkhead.audit_entry RENAME TO audit_entry_before_logs;
ALTER TABLE bulkhead.audit_entry_before_logs RENAME CONSTRAINT audit_entry_pkey TO audit_entry_before_logs_pkey;
DROP INDEX bulkhead.audit_entry_project;

CREATE SEQUENCE bulkhead.audit_sequence AS bigint;

-- Beside the leaf stand copies of some of its members, by which entries are found; readers take nothing else from them.
-- What must hold of them is checked by audit_append, which alone writes here: constraints are compiled for each statement,
-- and took longer than the rest of it.
CREATE TABLE bulkhead.audit_entry (
    sequence    bigint      NOT NULL,
    log_key     bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    action      text        NOT NULL,
    severity    text        NOT NULL,
    actor_id    text        NOT NULL,
    asset_kind  text        NOT NULL,
    asset_key   bigint,
    asset_name  text,
    leaf        bytea       NOT NULL,
    CONSTRAINT audit_entry_pkey PRIMARY KEY (sequence)
);
CREATE INDEX audit_entry_log_sequence ON bulkhead.audit_entry (log_key, sequence);

-- What tells of people, so that it can be erased: the leaf has a salted hash of it.
CREATE TABLE bulkhead.audit_personal (
    sequence bigint NOT NULL,
    salt     bytea  NOT NULL,
    data     bytea  NOT NULL,
    CONSTRAINT audit_personal_pkey PRIMARY KEY (sequence)
);

-- Entries that have no place yet.
CREATE TABLE bulkhead.audit_queue (
    sequence  bigint      NOT NULL,
    queued_at timestamptz NOT NULL,
    CONSTRAINT audit_queue_pkey PRIMARY KEY (sequence)
);

-- The places. Leaves of the log of the logs are here themselves; all others are entries.
CREATE TABLE bulkhead.audit_leaf (
    log_key  bigint NOT NULL,
    place    bigint NOT NULL,
    sequence bigint,
    leaf     bytea,
    CONSTRAINT audit_leaf_pkey PRIMARY KEY (log_key, place),
    CONSTRAINT audit_leaf_sequence_unique UNIQUE (sequence),
    CONSTRAINT audit_leaf_place CHECK (place >= 0),
    CONSTRAINT audit_leaf_one CHECK ((log_key = -1) = (sequence IS NULL) AND (log_key = -1) = (leaf IS NOT NULL))
);

-- Hashes, 256 to a row, the last row of each level shorter: C2SP tlog-tiles.
CREATE TABLE bulkhead.audit_tile (
    log_key bigint   NOT NULL,
    level   smallint NOT NULL,
    place   bigint   NOT NULL,
    hashes  bytea    NOT NULL,
    CONSTRAINT audit_tile_pkey PRIMARY KEY (log_key, level, place),
    CONSTRAINT audit_tile_size CHECK (octet_length(hashes) BETWEEN 32 AND 8192 AND octet_length(hashes) % 32 = 0)
);

-- The newest signed state of each log.
CREATE TABLE bulkhead.audit_checkpoint (
    log_key bigint      NOT NULL,
    size    bigint      NOT NULL,
    note    text        NOT NULL,
    made_at timestamptz NOT NULL,
    CONSTRAINT audit_checkpoint_pkey PRIMARY KEY (log_key)
);

-- Who sequences. Each new holder has a greater epoch, and writes of an older epoch are refused.
CREATE TABLE bulkhead.audit_lease (
    one    boolean     NOT NULL DEFAULT true,
    holder text        NOT NULL,
    epoch  bigint      NOT NULL,
    until  timestamptz NOT NULL,
    CONSTRAINT audit_lease_pkey PRIMARY KEY (one),
    CONSTRAINT audit_lease_one CHECK (one)
);
INSERT INTO bulkhead.audit_lease (holder, epoch, until) VALUES ('', 0, '-infinity');

-- What older versions recorded becomes leaves of version 1, in the same order.
-- +goose StatementBegin
DO $$
DECLARE
    old  bulkhead.audit_entry_before_logs;
    salt bytea;
    data text;
    body text;
BEGIN
    FOR old IN SELECT * FROM bulkhead.audit_entry_before_logs ORDER BY sequence LOOP
        data := concat_ws(',', '"address":' || to_json(NULLIF(old.address, ''))::text, '"name":' || to_json(NULLIF(old.actor_name, ''))::text);
        salt := uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());
        body := '{"version":1,"sequence":' || old.sequence
            || ',"time":"' || to_char(old.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"'
            || ',"action":' || to_json(old.action)::text
            || ',"actor":{"id":' || to_json(old.actor_id)::text || ',"kind":' || to_json(old.actor_kind)::text || '}'
            || COALESCE(',"after":' || old.after::text, '')
            || ',"asset":{"kind":' || to_json(old.asset_kind)::text || COALESCE(',"key":' || NULLIF(old.asset_key, 0), '')
            || COALESCE(',"name":' || to_json(NULLIF(old.asset_name, ''))::text, '') || '}'
            || COALESCE(',"before":' || old.before::text, '')
            || ',"outcome":' || to_json(old.outcome)::text;
        IF data <> '' THEN
            data := '{"actor":{' || data || '}}';
            body := body || ',"personal":"' || encode(sha256(salt || convert_to(data, 'UTF8')), 'base64') || '"';
            INSERT INTO bulkhead.audit_personal VALUES (old.sequence, salt, convert_to(data, 'UTF8'));
        END IF;
        body := body || COALESCE(',"project_key":' || NULLIF(old.project_key, 0), '')
            || COALESCE(',"request_id":' || to_json(NULLIF(old.request_id, ''))::text, '')
            || ',"severity":' || to_json(old.severity)::text || '}';
        INSERT INTO bulkhead.audit_entry VALUES (old.sequence, COALESCE(old.project_key, 0), old.recorded_at, old.action, old.severity,
            old.actor_id, old.asset_kind, old.asset_key, NULLIF(old.asset_name, ''), convert_to(body, 'UTF8'));
        INSERT INTO bulkhead.audit_queue VALUES (old.sequence, clock_timestamp());
    END LOOP;
    PERFORM setval('bulkhead.audit_sequence', COALESCE((SELECT max(sequence) FROM bulkhead.audit_entry), 0) + 1, false);
END
$$;
-- +goose StatementEnd
DROP TABLE bulkhead.audit_entry_before_logs;

-- The one way to write an entry. It adds version, sequence and time to what it is given, and copies from the leaf itself.
-- +goose StatementBegin
CREATE FUNCTION bulkhead.audit_append(body text, salt bytea, personal bytea) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    told jsonb := body::jsonb;
    at timestamptz := clock_timestamp();
    number bigint := nextval('bulkhead.audit_sequence');
    log bigint := COALESCE((told ->> 'project_key')::bigint, 0);
BEGIN
    IF jsonb_typeof(told) <> 'object' OR left(body, 2) <> '{"' OR told ?| ARRAY['version', 'sequence', 'time'] THEN
        RAISE EXCEPTION 'the entry is not an object without version, sequence and time' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF (told ->> 'personal') IS DISTINCT FROM encode(sha256(salt || personal), 'base64') THEN
        RAISE EXCEPTION 'the entry does not commit to its personal data' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF log < 0 OR told ->> 'action' !~ '^[a-z_]+\.[a-z_]+$' OR told ->> 'severity' NOT IN ('info', 'notice', 'warning')
        OR told #>> '{actor,id}' = '' OR told #>> '{asset,kind}' = '' OR octet_length(salt) <> 32 OR octet_length(body) > 65400 THEN
        RAISE EXCEPTION 'the entry has an impossible project, action, severity, actor, asset, salt or size' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- One statement: each costs as much as its rows.
    WITH queued AS (
        INSERT INTO bulkhead.audit_queue (sequence, queued_at) VALUES (number, at)
    ), beside AS (
        INSERT INTO bulkhead.audit_personal (sequence, salt, data) SELECT number, salt, personal WHERE salt IS NOT NULL
    )
    INSERT INTO bulkhead.audit_entry (sequence, log_key, recorded_at, action, severity, actor_id, asset_kind, asset_key, asset_name, leaf)
    SELECT number, log, at, told ->> 'action', told ->> 'severity', told #>> '{actor,id}',
        told #>> '{asset,kind}', (told #>> '{asset,key}')::bigint, told #>> '{asset,name}',
        convert_to('{"version":2,"sequence":' || number || ',"time":"' || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '",' || substr(body, 2), 'UTF8')
    WHERE NOT EXISTS (SELECT FROM bulkhead.audit_checkpoint c WHERE c.log_key = log AND c.made_at > at + interval '5 minutes');
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the clock is before the newest checkpoint' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN number;
END
$$;
-- +goose StatementEnd

-- A row of hashes may only grow, and a checkpoint only move on.
-- +goose StatementBegin
CREATE FUNCTION bulkhead.audit_grow() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_TABLE_NAME = 'audit_tile' THEN
        IF (NEW.log_key, NEW.level, NEW.place) = (OLD.log_key, OLD.level, OLD.place)
            AND substr(NEW.hashes, 1, octet_length(OLD.hashes)) = OLD.hashes THEN
            RETURN NEW;
        END IF;
    ELSIF TG_TABLE_NAME = 'audit_checkpoint' THEN
        IF NEW.log_key = OLD.log_key AND NEW.size >= OLD.size THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append only' USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER audit_entry_keep_rows BEFORE UPDATE OR DELETE ON bulkhead.audit_entry FOR EACH ROW EXECUTE FUNCTION bulkhead.audit_refuse();
CREATE TRIGGER audit_entry_keep_all BEFORE TRUNCATE ON bulkhead.audit_entry FOR EACH STATEMENT EXECUTE FUNCTION bulkhead.audit_refuse();
CREATE TRIGGER audit_personal_keep_rows BEFORE UPDATE ON bulkhead.audit_personal FOR EACH ROW EXECUTE FUNCTION bulkhead.audit_refuse();
CREATE TRIGGER audit_personal_keep_all BEFORE TRUNCATE ON bulkhead.audit_personal FOR EACH STATEMENT EXECUTE FUNCTION bulkhead.audit_refuse();
CREATE TRIGGER audit_leaf_keep_rows BEFORE UPDATE OR DELETE ON bulkhead.audit_leaf FOR EACH ROW EXECUTE FUNCTION bulkhead.audit_refuse();
CREATE TRIGGER audit_leaf_keep_all BEFORE TRUNCATE ON bulkhead.audit_leaf FOR EACH STATEMENT EXECUTE FUNCTION bulkhead.audit_refuse();
CREATE TRIGGER audit_tile_keep_rows BEFORE DELETE ON bulkhead.audit_tile FOR EACH ROW EXECUTE FUNCTION bulkhead.audit_refuse();
CREATE TRIGGER audit_tile_keep_all BEFORE TRUNCATE ON bulkhead.audit_tile FOR EACH STATEMENT EXECUTE FUNCTION bulkhead.audit_refuse();
CREATE TRIGGER audit_tile_grow BEFORE UPDATE ON bulkhead.audit_tile FOR EACH ROW EXECUTE FUNCTION bulkhead.audit_grow();
CREATE TRIGGER audit_checkpoint_keep_rows BEFORE DELETE ON bulkhead.audit_checkpoint FOR EACH ROW EXECUTE FUNCTION bulkhead.audit_refuse();
CREATE TRIGGER audit_checkpoint_keep_all BEFORE TRUNCATE ON bulkhead.audit_checkpoint FOR EACH STATEMENT EXECUTE FUNCTION bulkhead.audit_refuse();
CREATE TRIGGER audit_checkpoint_grow BEFORE UPDATE ON bulkhead.audit_checkpoint FOR EACH ROW EXECUTE FUNCTION bulkhead.audit_grow();

-- In every session_replication_role; given to their owner; and to nobody else but for what it is for.
-- +goose StatementBegin
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN SELECT tgrelid::regclass AS target, tgname FROM pg_trigger
        WHERE NOT tgisinternal AND tgfoid IN ('bulkhead.audit_refuse'::regproc, 'bulkhead.audit_grow'::regproc) LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', found.target, found.tgname);
    END LOOP;
    FOR found IN SELECT unnest(ARRAY['audit_entry', 'audit_personal', 'audit_queue', 'audit_leaf', 'audit_tile', 'audit_checkpoint', 'audit_lease']) AS name LOOP
        EXECUTE format('REVOKE ALL ON bulkhead.%I FROM PUBLIC', found.name);
        EXECUTE format('ALTER TABLE bulkhead.%I OWNER TO bulkhead_audit_owner', found.name);
        EXECUTE format('GRANT SELECT ON bulkhead.%I TO CURRENT_USER, bulkhead_audit_sequencer', found.name);
    END LOOP;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON SEQUENCE bulkhead.audit_sequence FROM PUBLIC;
REVOKE ALL ON FUNCTION bulkhead.audit_append, bulkhead.audit_refuse, bulkhead.audit_grow FROM PUBLIC;
GRANT DELETE ON bulkhead.audit_queue TO bulkhead_audit_sequencer;
GRANT INSERT ON bulkhead.audit_leaf, bulkhead.audit_tile, bulkhead.audit_checkpoint TO bulkhead_audit_sequencer;
GRANT UPDATE ON bulkhead.audit_tile, bulkhead.audit_checkpoint, bulkhead.audit_lease TO bulkhead_audit_sequencer;
ALTER SEQUENCE bulkhead.audit_sequence OWNER TO bulkhead_audit_owner;
ALTER FUNCTION bulkhead.audit_append OWNER TO bulkhead_audit_owner;
ALTER FUNCTION bulkhead.audit_refuse OWNER TO bulkhead_audit_owner;
ALTER FUNCTION bulkhead.audit_grow OWNER TO bulkhead_audit_owner;
GRANT EXECUTE ON FUNCTION bulkhead.audit_append TO CURRENT_USER;
REVOKE CREATE ON SCHEMA bulkhead FROM bulkhead_audit_owner;
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE 'REVOKE bulkhead_audit_owner FROM CURRENT_USER';
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE bulkhead.audit_entry, bulkhead.audit_personal, bulkhead.audit_queue, bulkhead.audit_leaf, bulkhead.audit_tile, bulkhead.audit_checkpoint, bulkhead.audit_lease;
DROP FUNCTION bulkhead.audit_append, bulkhead.audit_grow, bulkhead.audit_refuse;
DROP SEQUENCE bulkhead.audit_sequence;
