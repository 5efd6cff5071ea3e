-- +goose Up
-- The one provider by which users must have been proved who belong to a project. Users of others, and local ones, keep what
-- they have in it, but it does not count.
CREATE TABLE bulkhead.project_demand (
    project_key  bigint NOT NULL,
    provider_key bigint NOT NULL,
    CONSTRAINT project_demand_pkey PRIMARY KEY (project_key),
    CONSTRAINT project_demand_project_exists FOREIGN KEY (project_key) REFERENCES bulkhead.project (key) ON DELETE CASCADE,
    CONSTRAINT project_demand_provider_exists FOREIGN KEY (provider_key) REFERENCES bulkhead.provider (key)
);
CREATE INDEX project_demand_provider ON bulkhead.project_demand (provider_key);
CREATE TRIGGER project_demand_changed AFTER INSERT OR UPDATE OR DELETE ON bulkhead.project_demand FOR EACH ROW EXECUTE FUNCTION bulkhead.privilege_project_changed();
ALTER TABLE bulkhead.project_demand ENABLE ALWAYS TRIGGER project_demand_changed;
REVOKE ALL ON bulkhead.project_demand FROM PUBLIC;

-- +goose Down
DROP TABLE bulkhead.project_demand;
