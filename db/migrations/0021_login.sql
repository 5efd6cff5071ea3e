-- +goose Up
-- How users prove who they are. Passwords, tokens and recovery codes are hashes; what must be read back is sealed.
CREATE TABLE bulkhead.user_password (
    user_key   bigint      NOT NULL,
    hash       text        NOT NULL, -- argon2id, with its parameters
    changed_at timestamptz NOT NULL,
    CONSTRAINT user_password_pkey PRIMARY KEY (user_key),
    CONSTRAINT user_password_user_exists FOREIGN KEY (user_key) REFERENCES bulkhead.app_user (key) ON DELETE CASCADE,
    CONSTRAINT user_password_hash_form CHECK (hash LIKE '$argon2id$%')
);

CREATE TABLE bulkhead.user_factor (
    user_key    bigint      NOT NULL,
    sealed      bytea       NOT NULL,
    last_step   bigint      NOT NULL, -- whose code was accepted: that and older ones never are again
    enrolled_at timestamptz NOT NULL,
    CONSTRAINT user_factor_pkey PRIMARY KEY (user_key),
    CONSTRAINT user_factor_user_exists FOREIGN KEY (user_key) REFERENCES bulkhead.app_user (key) ON DELETE CASCADE
);

CREATE TABLE bulkhead.recovery_code (
    user_key bigint NOT NULL,
    hash     bytea  NOT NULL,
    used_at  timestamptz,
    CONSTRAINT recovery_code_pkey PRIMARY KEY (user_key, hash),
    CONSTRAINT recovery_code_factor_exists FOREIGN KEY (user_key) REFERENCES bulkhead.user_factor (user_key) ON DELETE CASCADE,
    CONSTRAINT recovery_code_hash_size CHECK (octet_length(hash) = 32)
);

CREATE TABLE bulkhead.login (
    id           text        NOT NULL,
    user_key     bigint      NOT NULL,
    kind         text        NOT NULL,
    level        smallint    NOT NULL,
    hash         bytea       NOT NULL, -- of its token, which changes when the level or the age of the factor does
    first_at     timestamptz NOT NULL, -- when the first factor was shown
    factor_at    timestamptz,          -- when the second was
    created_at   timestamptz NOT NULL,
    seen_at      timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL, -- the earlier of expires_at and of being idle for too long
    address      text        NOT NULL,
    agent        text        NOT NULL,
    provider_key bigint,               -- null: local
    id_token     bytea,                -- sealed: the provider wants to see it at logout
    CONSTRAINT login_pkey PRIMARY KEY (id),
    CONSTRAINT login_user_exists FOREIGN KEY (user_key) REFERENCES bulkhead.app_user (key) ON DELETE CASCADE,
    CONSTRAINT login_id_form CHECK (id ~ '^[a-z2-7]{16}$'),
    CONSTRAINT login_kind_known CHECK (kind IN ('browser', 'cli')),
    CONSTRAINT login_level_known CHECK (level IN (1, 2)),
    CONSTRAINT login_level_has_factor CHECK ((level = 2) = (factor_at IS NOT NULL)),
    CONSTRAINT login_hash_size CHECK (octet_length(hash) = 32),
    CONSTRAINT login_life CHECK (ends_at <= expires_at AND expires_at <= created_at + interval '31 days'),
    CONSTRAINT login_agent_length CHECK (char_length(agent) <= 200)
);
CREATE INDEX login_user ON bulkhead.login (user_key);
CREATE INDEX login_ends_at ON bulkhead.login (ends_at);

-- A second factor that waits for its first right code. It belongs to the login that asked for it.
CREATE TABLE bulkhead.user_enrolment (
    login_id text        NOT NULL,
    sealed   bytea       NOT NULL,
    replaces boolean     NOT NULL, -- a factor that the user has
    begun_at timestamptz NOT NULL,
    CONSTRAINT user_enrolment_pkey PRIMARY KEY (login_id),
    CONSTRAINT user_enrolment_login_exists FOREIGN KEY (login_id) REFERENCES bulkhead.login (id) ON DELETE CASCADE
);

-- +goose Down
DROP TABLE bulkhead.user_enrolment;
DROP TABLE bulkhead.login;
DROP TABLE bulkhead.recovery_code;
DROP TABLE bulkhead.user_factor;
DROP TABLE bulkhead.user_password;
