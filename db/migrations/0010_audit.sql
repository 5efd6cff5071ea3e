-- +goose Up
-- The record of changes. An entry is written by audit_append in the transaction of its change; nothing is updated,
-- deleted or truncated, by triggers that hold in every session_replication_role.
CREATE TABLE bulkhead.audit_entry (
    sequence    bigint      GENERATED ALWAYS AS IDENTITY,
    recorded_at timestamptz NOT NULL,
    version     smallint    NOT NULL,
    actor_kind  text        NOT NULL,
    actor_id    text        NOT NULL,
    actor_name  text        NOT NULL,
    address     text        NOT NULL,
    request_id  text        NOT NULL,
    action      text        NOT NULL,
    severity    text        NOT NULL,
    outcome     text        NOT NULL,
    project_key bigint,
    asset_kind  text        NOT NULL,
    asset_key   bigint,
    asset_name  text        NOT NULL,
    before      json,
    after       json,
    CONSTRAINT audit_entry_pkey PRIMARY KEY (sequence),
    CONSTRAINT audit_entry_actor CHECK (actor_kind <> '' AND actor_id <> ''),
    CONSTRAINT audit_entry_action CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    CONSTRAINT audit_entry_severity CHECK (severity IN ('info', 'notice', 'warning')),
    CONSTRAINT audit_entry_outcome CHECK (outcome IN ('done', 'failed')),
    CONSTRAINT audit_entry_asset CHECK (asset_kind <> '')
);
CREATE INDEX audit_entry_project ON bulkhead.audit_entry (project_key, sequence);

-- +goose StatementBegin
CREATE FUNCTION bulkhead.audit_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append only' USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER audit_entry_keep_rows BEFORE UPDATE OR DELETE ON bulkhead.audit_entry
    FOR EACH ROW EXECUTE FUNCTION bulkhead.audit_refuse();
CREATE TRIGGER audit_entry_keep_all BEFORE TRUNCATE ON bulkhead.audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION bulkhead.audit_refuse();
ALTER TABLE bulkhead.audit_entry ENABLE ALWAYS TRIGGER audit_entry_keep_rows;
ALTER TABLE bulkhead.audit_entry ENABLE ALWAYS TRIGGER audit_entry_keep_all;

-- +goose StatementBegin
CREATE FUNCTION bulkhead.audit_append(
    version smallint, actor_kind text, actor_id text, actor_name text, address text, request_id text,
    action text, severity text, outcome text, project_key bigint, asset_kind text, asset_key bigint, asset_name text,
    before json, after json
) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO bulkhead.audit_entry (recorded_at, version, actor_kind, actor_id, actor_name, address, request_id,
        action, severity, outcome, project_key, asset_kind, asset_key, asset_name, before, after)
    VALUES (clock_timestamp(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
    RETURNING sequence
$$;
-- +goose StatementEnd

REVOKE ALL ON bulkhead.audit_entry FROM PUBLIC;
REVOKE ALL ON FUNCTION bulkhead.audit_append FROM PUBLIC;

-- +goose Down
DROP FUNCTION bulkhead.audit_append;
DROP TABLE bulkhead.audit_entry;
DROP FUNCTION bulkhead.audit_refuse;
