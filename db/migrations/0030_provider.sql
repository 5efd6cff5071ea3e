-- +goose Up
-- Who vouches for users: OpenID Connect providers, of the platform or of a project. The client secret is sealed by a key that is
-- not in the database.
CREATE TABLE bulkhead.provider (
    key             bigint      NOT NULL,
    project_key     bigint,     -- null for those of the platform
    name            text        NOT NULL, -- in the redirect URI; never changes
    title           text        NOT NULL,
    issuer          text        NOT NULL,
    client_id       text        NOT NULL,
    sealed          bytea,      -- the client secret; null for a public client
    algorithms      text[]      NOT NULL,
    scopes          text[]      NOT NULL,
    claims          jsonb       NOT NULL,
    acr             jsonb       NOT NULL,
    amr             jsonb       NOT NULL,
    domains         text[]      NOT NULL,
    just_in_time    boolean     NOT NULL,
    logout          boolean     NOT NULL,
    suspended       boolean     NOT NULL,
    private_network boolean     NOT NULL,
    ca              text        NOT NULL,
    revision        bigint      NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL,
    CONSTRAINT provider_pkey PRIMARY KEY (key),
    CONSTRAINT provider_name_unique UNIQUE NULLS NOT DISTINCT (project_key, name),
    CONSTRAINT provider_project_exists FOREIGN KEY (project_key) REFERENCES bulkhead.project (key) ON DELETE CASCADE,
    CONSTRAINT provider_key_range CHECK (key BETWEEN 1 AND 9007199254740991),
    CONSTRAINT provider_name_form CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    CONSTRAINT provider_title_length CHECK (char_length(title) BETWEEN 1 AND 100),
    CONSTRAINT provider_issuer_form CHECK (issuer ~ '^https://' AND char_length(issuer) <= 500),
    CONSTRAINT provider_client_id_length CHECK (char_length(client_id) BETWEEN 1 AND 255),
    CONSTRAINT provider_algorithms_asymmetric CHECK (cardinality(algorithms) > 0
        AND algorithms <@ '{RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA}'),
    CONSTRAINT provider_scopes_openid CHECK ('openid' = ANY (scopes)),
    CONSTRAINT provider_maps_objects CHECK (jsonb_typeof(claims) = 'object' AND jsonb_typeof(acr) = 'object' AND jsonb_typeof(amr) = 'object')
);
CREATE INDEX provider_issuer ON bulkhead.provider (issuer);
CREATE INDEX provider_domains ON bulkhead.provider USING gin (domains);

-- +goose Down
DROP TABLE bulkhead.provider;
