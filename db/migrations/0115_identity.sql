-- +goose Up
-- Who an issuer vouches for is somebody of their own in each project whose provider it is. With one user for all, a project that uses
-- the issuer of another could have its people log in there first, and they were kept out of the other from then on.
ALTER TABLE bulkhead.app_user DROP CONSTRAINT app_user_identity_unique;
CREATE UNIQUE INDEX app_user_identity_unique ON bulkhead.app_user (issuer, subject, COALESCE(project_key, 0));
CREATE UNIQUE INDEX app_user_local_identity_unique ON bulkhead.app_user (subject) WHERE issuer = 'local';

-- +goose Down
DROP INDEX bulkhead.app_user_local_identity_unique;
DROP INDEX bulkhead.app_user_identity_unique;
ALTER TABLE bulkhead.app_user ADD CONSTRAINT app_user_identity_unique UNIQUE (issuer, subject);
