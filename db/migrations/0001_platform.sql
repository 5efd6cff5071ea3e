-- +goose Up
-- The schema itself is made before the first step, because goose keeps its own table in it.
REVOKE ALL ON SCHEMA bulkhead FROM PUBLIC;
COMMENT ON SCHEMA bulkhead IS 'Bulkhead: the platform''s own tables';

-- +goose Down
SELECT 1;
