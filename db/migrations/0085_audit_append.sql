-- +goose Up
-- The one way to write an entry, faster: the columns by which entries are found come with the leaf, so that no tree is made
-- of it here. Action and severity are compared with the leaf at once; that the other columns are what the leaf says is
-- looked at by the patrol, and no log takes a leaf of another project.
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'bulkhead_audit_owner', 'MEMBER') THEN
        GRANT bulkhead_audit_owner TO CURRENT_USER;
    END IF;
END
$$;
-- +goose StatementEnd
GRANT CREATE ON SCHEMA bulkhead TO bulkhead_audit_owner;

DROP FUNCTION bulkhead.audit_append(text, bytea, bytea);

-- +goose StatementBegin
CREATE FUNCTION bulkhead.audit_append(log bigint, action text, severity text, actor text, kind text, key bigint, name text, body bytea, salt bytea, personal bytea)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    told text := convert_from(body, 'UTF8');
    checked json := told;
    at timestamptz := clock_timestamp();
    number bigint := nextval('bulkhead.audit_sequence');
    leaf bytea := convert_to('{"version":2,"sequence":' || number::text || ',"time":"' || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '",', 'UTF8') || substr(body, 2);
BEGIN
    IF (starts_with(told, '{"action":"' || action || '","actor":{') AND strpos(told, ',"severity":"' || severity || '"}') > 0) IS NOT TRUE
        -- These the database gives, and no later one may stand in their place. The tree is made where there may be one.
        OR strpos(told, '\u') + strpos(told, '"version"') + strpos(told, '"sequence"') + strpos(told, '"time"') > 0
            AND told::jsonb ?| ARRAY['version', 'sequence', 'time'] THEN
        RAISE EXCEPTION 'the entry is not a leaf without version, sequence and time, or not of this action and severity' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF salt IS NULL AND (personal IS NOT NULL OR strpos(told, '"personal"') > 0) OR salt IS NOT NULL
        AND (octet_length(salt) = 32 AND strpos(told, ',"personal":"' || encode(sha256(salt || personal), 'base64') || '"') > 0) IS NOT TRUE THEN
        RAISE EXCEPTION 'the entry does not commit to its personal data' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF (log >= 0 AND action ~ '^[a-z_]+\.[a-z_]+$' AND severity IN ('info', 'notice', 'warning')
        AND actor <> '' AND kind <> '' AND octet_length(body) <= 65400) IS NOT TRUE THEN
        RAISE EXCEPTION 'the entry has an impossible project, action, severity, actor, asset or size' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- One statement: each costs as much as its rows.
    WITH queued AS (
        INSERT INTO bulkhead.audit_queue (sequence, queued_at) VALUES (number, at)
    ), beside AS (
        INSERT INTO bulkhead.audit_personal (sequence, salt, data) SELECT number, salt, personal WHERE salt IS NOT NULL
    )
    INSERT INTO bulkhead.audit_entry (sequence, log_key, recorded_at, action, severity, actor_id, asset_kind, asset_key, asset_name, leaf)
    SELECT number, log, at, action, severity, actor, kind, key, name, leaf
    WHERE NOT EXISTS (SELECT FROM bulkhead.audit_checkpoint c WHERE c.log_key = log AND c.made_at > at + interval '5 minutes');
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the clock is before the newest checkpoint' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN number;
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION bulkhead.audit_append FROM PUBLIC;
ALTER FUNCTION bulkhead.audit_append OWNER TO bulkhead_audit_owner;
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
DROP FUNCTION bulkhead.audit_append;
