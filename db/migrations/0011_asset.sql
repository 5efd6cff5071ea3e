-- +goose Up
-- What a project owns. Keys are drawn by the application: 53 random bits that are the same on the wire, in JSON and here.
-- Secrets are sealed by keys that are not in the database.
CREATE TABLE bulkhead.project (
    key        bigint      NOT NULL,
    name       text        NOT NULL,
    title      text        NOT NULL,
    removing   boolean     NOT NULL DEFAULT false,
    revision   bigint      NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    CONSTRAINT project_pkey PRIMARY KEY (key),
    CONSTRAINT project_name_unique UNIQUE (name),
    CONSTRAINT project_key_range CHECK (key BETWEEN 1 AND 9007199254740991),
    CONSTRAINT project_name_form CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    CONSTRAINT project_title_length CHECK (char_length(title) <= 200)
);

CREATE TABLE bulkhead.app (
    key        bigint      NOT NULL,
    name       text        NOT NULL,
    title      text        NOT NULL,
    owner_key  bigint,     -- the project that owns it; null for the platform's
    epoch      integer     NOT NULL DEFAULT 1,
    revision   bigint      NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    CONSTRAINT app_pkey PRIMARY KEY (key),
    CONSTRAINT app_name_unique UNIQUE (name),
    CONSTRAINT app_owner_exists FOREIGN KEY (owner_key) REFERENCES bulkhead.project (key) ON DELETE CASCADE,
    CONSTRAINT app_key_range CHECK (key BETWEEN 1 AND 9007199254740991),
    CONSTRAINT app_name_form CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    CONSTRAINT app_title_length CHECK (char_length(title) <= 200),
    CONSTRAINT app_epoch_positive CHECK (epoch > 0)
);
CREATE INDEX app_owner ON bulkhead.app (owner_key);

CREATE TABLE bulkhead.app_credential (
    app_key bigint  NOT NULL,
    epoch   integer NOT NULL,
    sealed  bytea   NOT NULL,
    until   timestamptz, -- null for the current epoch
    CONSTRAINT app_credential_pkey PRIMARY KEY (app_key, epoch),
    CONSTRAINT app_credential_app_exists FOREIGN KEY (app_key) REFERENCES bulkhead.app (key) ON DELETE CASCADE,
    CONSTRAINT app_credential_epoch_positive CHECK (epoch > 0)
);
CREATE UNIQUE INDEX app_credential_one_current ON bulkhead.app_credential (app_key) WHERE until IS NULL;

CREATE TABLE bulkhead.installation (
    project_key      bigint      NOT NULL,
    app_key          bigint      NOT NULL,
    stage            text        NOT NULL,
    state            text        NOT NULL,
    template         bytea       NOT NULL,
    template_version integer     NOT NULL,
    export_wanted    boolean     NOT NULL DEFAULT false, -- keep an export before the data is removed
    exported_to      text,                               -- where that export is
    created_at       timestamptz NOT NULL,
    CONSTRAINT installation_pkey PRIMARY KEY (project_key, app_key, stage),
    CONSTRAINT installation_project_exists FOREIGN KEY (project_key) REFERENCES bulkhead.project (key),
    CONSTRAINT installation_app_exists FOREIGN KEY (app_key) REFERENCES bulkhead.app (key),
    CONSTRAINT installation_stage_known CHECK (stage IN ('dev', 'prod')),
    CONSTRAINT installation_state_known CHECK (state IN ('provisioning', 'ready', 'removing')),
    CONSTRAINT installation_template_size CHECK (octet_length(template) <= 1048576),
    CONSTRAINT installation_template_version_positive CHECK (template_version > 0)
);
CREATE INDEX installation_app ON bulkhead.installation (app_key);

CREATE TABLE bulkhead.device (
    key            bigint      NOT NULL,
    project_key    bigint      NOT NULL,
    name           text        NOT NULL,
    serial         uuid        NOT NULL,
    suspended      boolean     NOT NULL DEFAULT false,
    secret_version integer     NOT NULL DEFAULT 1, -- of the newest secret
    revision       bigint      NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL,
    CONSTRAINT device_pkey PRIMARY KEY (key),
    CONSTRAINT device_name_unique UNIQUE (project_key, name),
    CONSTRAINT device_serial_unique UNIQUE (serial),
    CONSTRAINT device_project_exists FOREIGN KEY (project_key) REFERENCES bulkhead.project (key) ON DELETE CASCADE,
    CONSTRAINT device_key_range CHECK (key BETWEEN 1 AND 9007199254740991),
    CONSTRAINT device_name_form CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$')
);

CREATE TABLE bulkhead.device_secret (
    device_key bigint  NOT NULL,
    version    integer NOT NULL,
    sealed     bytea   NOT NULL,
    until      timestamptz, -- null for the newest
    CONSTRAINT device_secret_pkey PRIMARY KEY (device_key, version),
    CONSTRAINT device_secret_device_exists FOREIGN KEY (device_key) REFERENCES bulkhead.device (key) ON DELETE CASCADE,
    CONSTRAINT device_secret_version_positive CHECK (version > 0)
);
CREATE UNIQUE INDEX device_secret_one_newest ON bulkhead.device_secret (device_key) WHERE until IS NULL;
CREATE INDEX device_secret_until ON bulkhead.device_secret (until) WHERE until IS NOT NULL;

CREATE TABLE bulkhead.service (
    project_key bigint      NOT NULL,
    app_key     bigint      NOT NULL,
    stage       text        NOT NULL,
    name        text        NOT NULL,
    sealed      bytea       NOT NULL,
    created_at  timestamptz NOT NULL,
    CONSTRAINT service_pkey PRIMARY KEY (project_key, app_key, stage, name),
    CONSTRAINT service_installation_exists FOREIGN KEY (project_key, app_key, stage)
        REFERENCES bulkhead.installation (project_key, app_key, stage) ON DELETE CASCADE,
    CONSTRAINT service_name_form CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$')
);

-- +goose Down
DROP TABLE bulkhead.service;
DROP TABLE bulkhead.device_secret;
DROP TABLE bulkhead.device;
DROP TABLE bulkhead.installation;
DROP TABLE bulkhead.app_credential;
DROP TABLE bulkhead.app;
DROP TABLE bulkhead.project;
