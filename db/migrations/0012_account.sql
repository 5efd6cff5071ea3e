-- +goose Up
-- API keys, as hashes of 256 random bits.
CREATE TABLE bulkhead.api_key (
    id         text        NOT NULL,
    name       text        NOT NULL,
    hash       bytea       NOT NULL,
    owner      boolean     NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT api_key_pkey PRIMARY KEY (id),
    CONSTRAINT api_key_id_form CHECK (id ~ '^[a-z2-7]{16}$'),
    CONSTRAINT api_key_name_length CHECK (char_length(name) BETWEEN 1 AND 100),
    CONSTRAINT api_key_hash_size CHECK (octet_length(hash) = 32),
    CONSTRAINT api_key_life CHECK (expires_at > created_at AND expires_at <= created_at + interval '366 days')
);

-- Answers to POST requests that carried an Idempotency-Key, kept for a day and sealed, because some have secrets.
CREATE TABLE bulkhead.replay (
    principal   text        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL, -- of the request, so that a key is not used for another
    begun_at    timestamptz NOT NULL,
    sealed      bytea,                -- null while the request is being done
    CONSTRAINT replay_pkey PRIMARY KEY (principal, key),
    CONSTRAINT replay_key_length CHECK (char_length(key) BETWEEN 1 AND 200),
    CONSTRAINT replay_fingerprint_size CHECK (octet_length(fingerprint) = 32)
);
CREATE INDEX replay_begun_at ON bulkhead.replay (begun_at);

-- +goose Down
DROP TABLE bulkhead.replay;
DROP TABLE bulkhead.api_key;
