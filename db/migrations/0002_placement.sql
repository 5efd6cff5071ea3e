-- +goose Up
-- Where the data of each installation is, and the journal of making and removing it: a row is written before what it
-- names is made, and deleted after that is gone.

-- The server's own parts, made once.
CREATE TABLE bulkhead.placement_server (
    one             boolean NOT NULL DEFAULT true,
    ingestor        text    NOT NULL, -- the login that writes for all installations
    ingestor_sealed bytea   NOT NULL, -- its password, sealed by a key that is not in the database
    ingestor_verifier text  NOT NULL,
    CONSTRAINT placement_server_pkey PRIMARY KEY (one),
    CONSTRAINT placement_server_one CHECK (one)
);

CREATE TABLE bulkhead.placement_database (
    name        text    NOT NULL,
    purpose     text    NOT NULL,
    project_key bigint,           -- whose it is, where the purpose is project
    hardened    integer NOT NULL DEFAULT 0, -- the version of our hardening that it has; 0 until it may be used
    timescale   boolean NOT NULL DEFAULT false,
    CONSTRAINT placement_database_pkey PRIMARY KEY (name),
    CONSTRAINT placement_database_purpose CHECK (purpose IN ('template', 'project', 'shared')),
    CONSTRAINT placement_database_project CHECK ((purpose = 'project') = (project_key IS NOT NULL)),
    CONSTRAINT placement_database_project_unique UNIQUE (project_key)
);
CREATE UNIQUE INDEX placement_database_one_shared ON bulkhead.placement_database (purpose) WHERE purpose = 'shared';

CREATE TABLE bulkhead.placement (
    realm            text        NOT NULL,
    project_key      bigint      NOT NULL,
    database_name    text        NOT NULL,
    schema_name      text        NOT NULL,
    state            text        NOT NULL,
    template         jsonb       NOT NULL, -- what the tables are, for upkeep and for comparison with the next version
    template_version integer     NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT placement_pkey PRIMARY KEY (realm),
    CONSTRAINT placement_schema_unique UNIQUE (schema_name),
    CONSTRAINT placement_database_exists FOREIGN KEY (database_name) REFERENCES bulkhead.placement_database (name),
    CONSTRAINT placement_state_known CHECK (state IN ('provisioning', 'ready', 'removing')),
    CONSTRAINT placement_template_version_positive CHECK (template_version > 0)
);
CREATE INDEX placement_database_name ON bulkhead.placement (database_name);

-- Logins come in pairs, so that one can be handed out while the other is still in use.
CREATE TABLE bulkhead.placement_login (
    role     text     NOT NULL,
    realm    text     NOT NULL,
    access   text     NOT NULL,
    slot     smallint NOT NULL,
    state    text     NOT NULL,
    sealed   bytea,   -- the password; null where the login is off
    verifier text,    -- what the server has of the password, to see when somebody changes it
    CONSTRAINT placement_login_pkey PRIMARY KEY (role),
    CONSTRAINT placement_login_slot_unique UNIQUE (realm, access, slot),
    CONSTRAINT placement_login_placement_exists FOREIGN KEY (realm) REFERENCES bulkhead.placement (realm) ON DELETE CASCADE,
    CONSTRAINT placement_login_access_known CHECK (access IN ('rw', 'ro')),
    CONSTRAINT placement_login_slot_known CHECK (slot IN (0, 1)),
    CONSTRAINT placement_login_state_known CHECK (state IN ('off', 'current', 'previous')),
    CONSTRAINT placement_login_on CHECK ((state = 'off') = (sealed IS NULL) AND (state = 'off') = (verifier IS NULL))
);
CREATE UNIQUE INDEX placement_login_one_current ON bulkhead.placement_login (realm, access) WHERE state = 'current';

REVOKE ALL ON bulkhead.placement_server, bulkhead.placement_database, bulkhead.placement, bulkhead.placement_login FROM PUBLIC;

-- +goose Down
DROP TABLE bulkhead.placement_login;
DROP TABLE bulkhead.placement;
DROP TABLE bulkhead.placement_database;
DROP TABLE bulkhead.placement_server;
