-- +goose Up
-- What each project stores, as it was measured last, and how much it may.
CREATE TABLE bulkhead.project_storage (
    project_key    bigint      NOT NULL,
    quota          bigint,                          -- bytes; 0: none; null: the server's default
    level          text        NOT NULL DEFAULT 'room',
    table_bytes    bigint      NOT NULL DEFAULT 0,  -- of its tables with all that belongs to them
    disk_bytes     bigint      NOT NULL DEFAULT 0,  -- of rows that waited on disk, and of exports
    database_bytes bigint      NOT NULL DEFAULT 0,  -- of the whole database then: what has not changed is not measured again
    measured_at    timestamptz,                     -- null: never
    CONSTRAINT project_storage_pkey PRIMARY KEY (project_key),
    CONSTRAINT project_storage_project_exists FOREIGN KEY (project_key) REFERENCES bulkhead.project (key) ON DELETE CASCADE,
    CONSTRAINT project_storage_quota_range CHECK (quota BETWEEN 0 AND 9007199254740991),
    CONSTRAINT project_storage_level_known CHECK (level IN ('room', 'high', 'almost_full', 'full')),
    CONSTRAINT project_storage_bytes_range CHECK (table_bytes >= 0 AND disk_bytes >= 0 AND database_bytes >= 0)
);
REVOKE ALL ON bulkhead.project_storage FROM PUBLIC;

-- Projects that were there before have no quota until somebody sets one: none of them finds its rows refused after an upgrade.
INSERT INTO bulkhead.project_storage (project_key, quota) SELECT key, 0 FROM bulkhead.project;

ALTER TABLE bulkhead.placement
    ADD COLUMN read_only boolean NOT NULL DEFAULT false; -- its logins add no rows: the project's quota is used up

-- +goose Down
ALTER TABLE bulkhead.placement DROP COLUMN read_only;
DROP TABLE bulkhead.project_storage;
