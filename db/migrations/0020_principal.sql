-- +goose Up
-- Who acts: users and service accounts. Their keys are drawn by the application, as those of projects are.
CREATE TABLE bulkhead.principal (
    key        bigint      NOT NULL,
    kind       text        NOT NULL,
    name       text        NOT NULL, -- to show; it names nobody
    owner      boolean     NOT NULL DEFAULT false, -- may administer the server
    suspended  boolean     NOT NULL DEFAULT false,
    revision   bigint      NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    CONSTRAINT principal_pkey PRIMARY KEY (key),
    CONSTRAINT principal_key_kind_unique UNIQUE (key, kind), -- for the two tables below
    CONSTRAINT principal_key_range CHECK (key BETWEEN 1 AND 9007199254740991),
    CONSTRAINT principal_kind_known CHECK (kind IN ('user', 'service_account')),
    CONSTRAINT principal_name_length CHECK (char_length(name) BETWEEN 1 AND 200)
);

CREATE TABLE bulkhead.app_user (
    key          bigint NOT NULL,
    kind         text   NOT NULL DEFAULT 'user',
    issuer       text   NOT NULL, -- 'local' for accounts of this server
    subject      text   NOT NULL, -- of a local account: the name to log in with
    email        text   NOT NULL DEFAULT '', -- to show; it names nobody
    provider_key bigint, -- null for local accounts
    project_key  bigint, -- of the provider's project; null for those of the platform
    CONSTRAINT app_user_pkey PRIMARY KEY (key),
    CONSTRAINT app_user_identity_unique UNIQUE (issuer, subject),
    CONSTRAINT app_user_principal_exists FOREIGN KEY (key, kind) REFERENCES bulkhead.principal (key, kind) ON DELETE CASCADE,
    CONSTRAINT app_user_project_exists FOREIGN KEY (project_key) REFERENCES bulkhead.project (key) ON DELETE CASCADE,
    CONSTRAINT app_user_kind_is_user CHECK (kind = 'user'),
    CONSTRAINT app_user_issuer_length CHECK (char_length(issuer) BETWEEN 1 AND 1000),
    CONSTRAINT app_user_subject_length CHECK (char_length(subject) BETWEEN 1 AND 255),
    CONSTRAINT app_user_email_length CHECK (char_length(email) <= 320),
    CONSTRAINT app_user_local_has_no_provider CHECK ((issuer = 'local') = (provider_key IS NULL))
);
CREATE INDEX app_user_project ON bulkhead.app_user (project_key);
CREATE INDEX app_user_provider ON bulkhead.app_user (provider_key);

CREATE TABLE bulkhead.service_account (
    key         bigint  NOT NULL,
    kind        text    NOT NULL DEFAULT 'service_account',
    project_key bigint, -- null for those of the platform
    bootstrap   boolean NOT NULL DEFAULT false, -- the one that a new server makes
    CONSTRAINT service_account_pkey PRIMARY KEY (key),
    CONSTRAINT service_account_principal_exists FOREIGN KEY (key, kind) REFERENCES bulkhead.principal (key, kind) ON DELETE CASCADE,
    CONSTRAINT service_account_project_exists FOREIGN KEY (project_key) REFERENCES bulkhead.project (key) ON DELETE CASCADE,
    CONSTRAINT service_account_kind_is_service_account CHECK (kind = 'service_account')
);
CREATE UNIQUE INDEX service_account_one_bootstrap ON bulkhead.service_account (bootstrap) WHERE bootstrap;
CREATE INDEX service_account_project ON bulkhead.service_account (project_key);

-- A user or service account that goes with its project takes its principal along.
-- +goose StatementBegin
CREATE FUNCTION bulkhead.principal_gone() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM bulkhead.principal WHERE key = OLD.key;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER app_user_gone AFTER DELETE ON bulkhead.app_user FOR EACH ROW EXECUTE FUNCTION bulkhead.principal_gone();
CREATE TRIGGER service_account_gone AFTER DELETE ON bulkhead.service_account FOR EACH ROW EXECUTE FUNCTION bulkhead.principal_gone();

-- API keys are held by somebody, and do what their scopes name. Those that exist are owners' keys; they come to the
-- service account of the first owner.
ALTER TABLE bulkhead.api_key
    ADD COLUMN holder_key bigint,
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{}',
    ADD COLUMN last_used_at timestamptz;

-- +goose StatementBegin
DO $$
DECLARE
    holder bigint := 1 + floor(random() * 9007199254740990)::bigint;
BEGIN
    IF EXISTS (SELECT FROM bulkhead.api_key) THEN
        INSERT INTO bulkhead.principal (key, kind, name, owner, created_at) VALUES (holder, 'service_account', 'bootstrap owner', true, now());
        INSERT INTO bulkhead.service_account (key, bootstrap) VALUES (holder, true);
        UPDATE bulkhead.api_key SET holder_key = holder, scopes = CASE WHEN owner THEN '{*}'::text[] ELSE '{}' END;
    END IF;
END
$$;
-- +goose StatementEnd

ALTER TABLE bulkhead.api_key
    ALTER COLUMN holder_key SET NOT NULL,
    ALTER COLUMN scopes DROP DEFAULT,
    DROP COLUMN owner,
    ADD CONSTRAINT api_key_holder_exists FOREIGN KEY (holder_key) REFERENCES bulkhead.principal (key) ON DELETE CASCADE;
CREATE INDEX api_key_holder ON bulkhead.api_key (holder_key);

-- +goose Down
ALTER TABLE bulkhead.api_key ADD COLUMN owner boolean NOT NULL DEFAULT true;
ALTER TABLE bulkhead.api_key ALTER COLUMN owner DROP DEFAULT, DROP COLUMN holder_key, DROP COLUMN scopes, DROP COLUMN last_used_at;
DROP TABLE bulkhead.service_account;
DROP TABLE bulkhead.app_user;
DROP FUNCTION bulkhead.principal_gone;
DROP TABLE bulkhead.principal;
