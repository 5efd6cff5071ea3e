-- +goose Up
-- Who may do what. Each row is of one project, and what it points at must be of the same one: the pairs of keys say so.
ALTER TABLE bulkhead.device ADD CONSTRAINT device_project_key_unique UNIQUE (project_key, key);

CREATE TABLE bulkhead.project_owner (
    project_key   bigint      NOT NULL,
    principal_key bigint      NOT NULL,
    since         timestamptz NOT NULL,
    CONSTRAINT project_owner_pkey PRIMARY KEY (project_key, principal_key),
    CONSTRAINT project_owner_project_exists FOREIGN KEY (project_key) REFERENCES bulkhead.project (key) ON DELETE CASCADE,
    CONSTRAINT project_owner_principal_exists FOREIGN KEY (principal_key) REFERENCES bulkhead.principal (key)
);
CREATE INDEX project_owner_principal ON bulkhead.project_owner (principal_key);

ALTER INDEX bulkhead.app_owner RENAME TO app_of_project; -- its name is needed for a table
CREATE TABLE bulkhead.app_owner (
    app_key       bigint      NOT NULL,
    principal_key bigint      NOT NULL,
    since         timestamptz NOT NULL,
    CONSTRAINT app_owner_pkey PRIMARY KEY (app_key, principal_key),
    CONSTRAINT app_owner_app_exists FOREIGN KEY (app_key) REFERENCES bulkhead.app (key) ON DELETE CASCADE,
    CONSTRAINT app_owner_principal_exists FOREIGN KEY (principal_key) REFERENCES bulkhead.principal (key) ON DELETE CASCADE
);
CREATE INDEX app_owner_principal ON bulkhead.app_owner (principal_key);

-- What each member of a project may do with every asset in it.
CREATE TABLE bulkhead.project_default (
    project_key bigint NOT NULL,
    flags       text[] NOT NULL,
    CONSTRAINT project_default_pkey PRIMARY KEY (project_key),
    CONSTRAINT project_default_project_exists FOREIGN KEY (project_key) REFERENCES bulkhead.project (key) ON DELETE CASCADE,
    CONSTRAINT project_default_flags_size CHECK (cardinality(flags) <= 100)
);

CREATE TABLE bulkhead.device_group (
    key         bigint      NOT NULL,
    project_key bigint      NOT NULL,
    name        text        NOT NULL,
    title       text        NOT NULL,
    revision    bigint      NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    CONSTRAINT device_group_pkey PRIMARY KEY (key),
    CONSTRAINT device_group_name_unique UNIQUE (project_key, name),
    CONSTRAINT device_group_project_key_unique UNIQUE (project_key, key),
    CONSTRAINT device_group_project_exists FOREIGN KEY (project_key) REFERENCES bulkhead.project (key) ON DELETE CASCADE,
    CONSTRAINT device_group_key_range CHECK (key BETWEEN 1 AND 9007199254740991),
    CONSTRAINT device_group_name_form CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    CONSTRAINT device_group_title_length CHECK (char_length(title) <= 200)
);

CREATE TABLE bulkhead.device_group_device (
    project_key bigint NOT NULL,
    group_key   bigint NOT NULL,
    device_key  bigint NOT NULL,
    CONSTRAINT device_group_device_pkey PRIMARY KEY (group_key, device_key),
    CONSTRAINT device_group_device_group_exists FOREIGN KEY (project_key, group_key)
        REFERENCES bulkhead.device_group (project_key, key) ON DELETE CASCADE,
    CONSTRAINT device_group_device_device_exists FOREIGN KEY (project_key, device_key)
        REFERENCES bulkhead.device (project_key, key) ON DELETE CASCADE
);
CREATE INDEX device_group_device_device ON bulkhead.device_group_device (project_key, device_key);

CREATE TABLE bulkhead.member (
    project_key   bigint      NOT NULL,
    principal_key bigint      NOT NULL,
    limited       boolean     NOT NULL DEFAULT false, -- to the groups in member_group, also where these are none
    added_at      timestamptz NOT NULL,
    CONSTRAINT member_pkey PRIMARY KEY (project_key, principal_key),
    CONSTRAINT member_project_exists FOREIGN KEY (project_key) REFERENCES bulkhead.project (key) ON DELETE CASCADE,
    CONSTRAINT member_principal_exists FOREIGN KEY (principal_key) REFERENCES bulkhead.principal (key) ON DELETE CASCADE
);
CREATE INDEX member_principal ON bulkhead.member (principal_key);

CREATE TABLE bulkhead.member_group (
    project_key   bigint NOT NULL,
    principal_key bigint NOT NULL,
    group_key     bigint NOT NULL,
    CONSTRAINT member_group_pkey PRIMARY KEY (project_key, principal_key, group_key),
    CONSTRAINT member_group_member_exists FOREIGN KEY (project_key, principal_key)
        REFERENCES bulkhead.member (project_key, principal_key) ON DELETE CASCADE,
    CONSTRAINT member_group_group_exists FOREIGN KEY (project_key, group_key)
        REFERENCES bulkhead.device_group (project_key, key) ON DELETE CASCADE
);
CREATE INDEX member_group_group ON bulkhead.member_group (project_key, group_key);

-- A grant ends with what it is on and with its holder; in a project it ends with its holder's membership.
CREATE TABLE bulkhead.privilege_grant (
    key           bigint      NOT NULL,
    project_key   bigint, -- null for apps of the platform
    principal_key bigint      NOT NULL,
    asset_kind    text        NOT NULL,
    device_key    bigint,
    group_key     bigint,
    app_key       bigint,
    stage         text,
    flags         text[]      NOT NULL,
    from_at       timestamptz,
    until_at      timestamptz,
    given_by_key  bigint      NOT NULL, -- who may be gone meanwhile
    given_at      timestamptz NOT NULL,
    CONSTRAINT privilege_grant_pkey PRIMARY KEY (key),
    CONSTRAINT privilege_grant_principal_exists FOREIGN KEY (principal_key) REFERENCES bulkhead.principal (key) ON DELETE CASCADE,
    CONSTRAINT privilege_grant_member_exists FOREIGN KEY (project_key, principal_key)
        REFERENCES bulkhead.member (project_key, principal_key) ON DELETE CASCADE,
    CONSTRAINT privilege_grant_device_exists FOREIGN KEY (project_key, device_key)
        REFERENCES bulkhead.device (project_key, key) ON DELETE CASCADE,
    CONSTRAINT privilege_grant_group_exists FOREIGN KEY (project_key, group_key)
        REFERENCES bulkhead.device_group (project_key, key) ON DELETE CASCADE,
    CONSTRAINT privilege_grant_app_exists FOREIGN KEY (app_key) REFERENCES bulkhead.app (key) ON DELETE CASCADE,
    CONSTRAINT privilege_grant_installation_exists FOREIGN KEY (project_key, app_key, stage)
        REFERENCES bulkhead.installation (project_key, app_key, stage) ON DELETE CASCADE,
    CONSTRAINT privilege_grant_key_range CHECK (key BETWEEN 1 AND 9007199254740991),
    CONSTRAINT privilege_grant_asset CHECK (CASE asset_kind
        WHEN 'project' THEN num_nulls(device_key, group_key, app_key, stage) = 4 AND project_key IS NOT NULL
        WHEN 'device' THEN device_key IS NOT NULL AND num_nulls(group_key, app_key, stage) = 3 AND project_key IS NOT NULL
        WHEN 'group' THEN group_key IS NOT NULL AND num_nulls(device_key, app_key, stage) = 3 AND project_key IS NOT NULL
        WHEN 'app' THEN app_key IS NOT NULL AND num_nulls(device_key, group_key, stage) = 3
        WHEN 'data_backend' THEN num_nulls(app_key, stage) = 0 AND num_nulls(device_key, group_key) = 2 AND project_key IS NOT NULL
        ELSE false END),
    CONSTRAINT privilege_grant_flags_size CHECK (cardinality(flags) BETWEEN 1 AND 100),
    CONSTRAINT privilege_grant_time CHECK (until_at > from_at)
);
CREATE INDEX privilege_grant_project ON bulkhead.privilege_grant ((COALESCE(project_key, 0)), principal_key);
CREATE INDEX privilege_grant_member ON bulkhead.privilege_grant (project_key, principal_key);
CREATE INDEX privilege_grant_principal ON bulkhead.privilege_grant (principal_key);
CREATE INDEX privilege_grant_device ON bulkhead.privilege_grant (project_key, device_key) WHERE device_key IS NOT NULL;
CREATE INDEX privilege_grant_group ON bulkhead.privilege_grant (project_key, group_key) WHERE group_key IS NOT NULL;
CREATE INDEX privilege_grant_app ON bulkhead.privilege_grant (app_key, project_key, stage) WHERE app_key IS NOT NULL;

-- A project is offered to a new owner, who has it when it is accepted.
CREATE TABLE bulkhead.ownership_transfer (
    key         bigint      NOT NULL,
    project_key bigint      NOT NULL,
    from_key    bigint      NOT NULL,
    to_key      bigint      NOT NULL,
    keep        boolean     NOT NULL, -- the one who offers stays an owner too
    offered_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    CONSTRAINT ownership_transfer_pkey PRIMARY KEY (key),
    CONSTRAINT ownership_transfer_once UNIQUE (project_key, from_key, to_key),
    CONSTRAINT ownership_transfer_from_owns FOREIGN KEY (project_key, from_key)
        REFERENCES bulkhead.project_owner (project_key, principal_key) ON DELETE CASCADE,
    CONSTRAINT ownership_transfer_to_exists FOREIGN KEY (to_key) REFERENCES bulkhead.principal (key) ON DELETE CASCADE,
    CONSTRAINT ownership_transfer_to_another CHECK (from_key <> to_key)
);
CREATE INDEX ownership_transfer_to ON bulkhead.ownership_transfer (to_key);

-- One number per project grows with each change of what decides about it, in the transaction of the change; that of
-- project 0 grows with changes of principals and of the platform's apps. Who follows reads what is behind. There is no
-- foreign key: a project that is gone shows by its number too.
CREATE TABLE bulkhead.privilege_revision (
    project_key bigint NOT NULL,
    revision    bigint NOT NULL,
    CONSTRAINT privilege_revision_pkey PRIMARY KEY (project_key)
);

-- +goose StatementBegin
CREATE FUNCTION bulkhead.privilege_changed(project bigint, principal bigint) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_at bigint;
BEGIN
    INSERT INTO bulkhead.privilege_revision AS r (project_key, revision) VALUES (COALESCE(project, 0), 1)
        ON CONFLICT (project_key) DO UPDATE SET revision = r.revision + 1 RETURNING revision INTO now_at;
    PERFORM pg_notify('bulkhead_privilege', COALESCE(project, 0) || ' ' || now_at || ' ' || COALESCE(principal, 0));
END
$$;

-- Tables with a project and a principal.
CREATE FUNCTION bulkhead.privilege_holder_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM bulkhead.privilege_changed(OLD.project_key, OLD.principal_key);
    END IF;
    IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND (NEW.project_key, NEW.principal_key) IS DISTINCT FROM (OLD.project_key, OLD.principal_key)) THEN
        PERFORM bulkhead.privilege_changed(NEW.project_key, NEW.principal_key);
    END IF;
    RETURN NULL;
END
$$;

-- Tables with a project, of which all is read again.
CREATE FUNCTION bulkhead.privilege_project_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM bulkhead.privilege_changed(CASE TG_OP WHEN 'DELETE' THEN OLD.project_key ELSE NEW.project_key END, NULL);
    RETURN NULL;
END
$$;

CREATE FUNCTION bulkhead.privilege_project_made() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM bulkhead.privilege_changed(CASE TG_OP WHEN 'DELETE' THEN OLD.key ELSE NEW.key END, NULL);
    RETURN NULL;
END
$$;

CREATE FUNCTION bulkhead.privilege_app_owner_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    app bigint := CASE TG_OP WHEN 'DELETE' THEN OLD.app_key ELSE NEW.app_key END;
BEGIN
    PERFORM bulkhead.privilege_changed((SELECT a.owner_key FROM bulkhead.app a WHERE a.key = app), NULL);
    RETURN NULL;
END
$$;

CREATE FUNCTION bulkhead.privilege_principal_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM bulkhead.privilege_changed(0, NULL);
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER project_owner_changed AFTER INSERT OR UPDATE OR DELETE ON bulkhead.project_owner FOR EACH ROW EXECUTE FUNCTION bulkhead.privilege_holder_changed();
CREATE TRIGGER member_changed AFTER INSERT OR UPDATE OR DELETE ON bulkhead.member FOR EACH ROW EXECUTE FUNCTION bulkhead.privilege_holder_changed();
CREATE TRIGGER member_group_changed AFTER INSERT OR UPDATE OR DELETE ON bulkhead.member_group FOR EACH ROW EXECUTE FUNCTION bulkhead.privilege_holder_changed();
CREATE TRIGGER privilege_grant_changed AFTER INSERT OR UPDATE OR DELETE ON bulkhead.privilege_grant FOR EACH ROW EXECUTE FUNCTION bulkhead.privilege_holder_changed();
CREATE TRIGGER project_default_changed AFTER INSERT OR UPDATE OR DELETE ON bulkhead.project_default FOR EACH ROW EXECUTE FUNCTION bulkhead.privilege_project_changed();
CREATE TRIGGER device_group_device_changed AFTER INSERT OR UPDATE OR DELETE ON bulkhead.device_group_device FOR EACH ROW EXECUTE FUNCTION bulkhead.privilege_project_changed();
CREATE TRIGGER project_made AFTER INSERT OR DELETE ON bulkhead.project FOR EACH ROW EXECUTE FUNCTION bulkhead.privilege_project_made();
CREATE TRIGGER app_owner_changed AFTER INSERT OR UPDATE OR DELETE ON bulkhead.app_owner FOR EACH ROW EXECUTE FUNCTION bulkhead.privilege_app_owner_changed();
CREATE TRIGGER principal_changed AFTER INSERT OR UPDATE OR DELETE ON bulkhead.principal FOR EACH ROW EXECUTE FUNCTION bulkhead.privilege_principal_changed();

-- Nothing that decides is changed behind the triggers' back by a replica's setting.
ALTER TABLE bulkhead.project_owner ENABLE ALWAYS TRIGGER project_owner_changed;
ALTER TABLE bulkhead.member ENABLE ALWAYS TRIGGER member_changed;
ALTER TABLE bulkhead.member_group ENABLE ALWAYS TRIGGER member_group_changed;
ALTER TABLE bulkhead.privilege_grant ENABLE ALWAYS TRIGGER privilege_grant_changed;
ALTER TABLE bulkhead.project_default ENABLE ALWAYS TRIGGER project_default_changed;
ALTER TABLE bulkhead.device_group_device ENABLE ALWAYS TRIGGER device_group_device_changed;
ALTER TABLE bulkhead.project ENABLE ALWAYS TRIGGER project_made;
ALTER TABLE bulkhead.app_owner ENABLE ALWAYS TRIGGER app_owner_changed;
ALTER TABLE bulkhead.principal ENABLE ALWAYS TRIGGER principal_changed;

-- Projects that exist were all made with owners' keys, which belong to the service account of the first owner.
INSERT INTO bulkhead.project_owner (project_key, principal_key, since)
    SELECT p.key, s.key, now() FROM bulkhead.project p CROSS JOIN bulkhead.service_account s WHERE s.bootstrap;
INSERT INTO bulkhead.privilege_revision (project_key, revision) SELECT key, 1 FROM bulkhead.project ON CONFLICT DO NOTHING;

REVOKE ALL ON bulkhead.project_owner, bulkhead.app_owner, bulkhead.project_default, bulkhead.device_group, bulkhead.device_group_device,
    bulkhead.member, bulkhead.member_group, bulkhead.privilege_grant, bulkhead.ownership_transfer, bulkhead.privilege_revision FROM PUBLIC;

-- +goose Down
DROP TRIGGER principal_changed ON bulkhead.principal;
DROP TRIGGER project_made ON bulkhead.project;
DROP TABLE bulkhead.privilege_revision;
DROP TABLE bulkhead.ownership_transfer;
DROP TABLE bulkhead.privilege_grant;
DROP TABLE bulkhead.member_group;
DROP TABLE bulkhead.member;
DROP TABLE bulkhead.device_group_device;
DROP TABLE bulkhead.device_group;
DROP TABLE bulkhead.project_default;
DROP TABLE bulkhead.app_owner;
ALTER INDEX bulkhead.app_of_project RENAME TO app_owner;
DROP TABLE bulkhead.project_owner;
DROP FUNCTION bulkhead.privilege_principal_changed;
DROP FUNCTION bulkhead.privilege_app_owner_changed;
DROP FUNCTION bulkhead.privilege_project_made;
DROP FUNCTION bulkhead.privilege_project_changed;
DROP FUNCTION bulkhead.privilege_holder_changed;
DROP FUNCTION bulkhead.privilege_changed;
ALTER TABLE bulkhead.device DROP CONSTRAINT device_project_key_unique;
