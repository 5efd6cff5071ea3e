-- +goose Up
-- How many users a provider makes just in time: a provider that is not well, or not honest, does not fill the database.
ALTER TABLE bulkhead.provider ADD COLUMN max_users integer NOT NULL DEFAULT 10000,
    ADD CONSTRAINT provider_max_users_range CHECK (max_users BETWEEN 1 AND 1000000);

-- The provider's own session behind a login, which it names when that ends there; empty where it told none.
ALTER TABLE bulkhead.login ADD COLUMN provider_sid text NOT NULL DEFAULT '',
    ADD CONSTRAINT login_provider_sid_length CHECK (char_length(provider_sid) <= 255);
CREATE INDEX login_provider ON bulkhead.login (provider_key, provider_sid) WHERE provider_key IS NOT NULL;

-- +goose Down
DROP INDEX bulkhead.login_provider;
ALTER TABLE bulkhead.login DROP COLUMN provider_sid;
ALTER TABLE bulkhead.provider DROP COLUMN max_users;
