-- +goose Up
-- What terminals have shown, as devices recorded it. All that is kept of the content is sealed to the project's recording key.
ALTER TABLE bulkhead.tunnel
    ADD COLUMN record boolean NOT NULL DEFAULT false, -- it is asked for
    ADD COLUMN signer text    NOT NULL DEFAULT '';    -- fingerprint of the device's key, where the device records
ALTER TABLE bulkhead.tunnel_policy
    ADD COLUMN recording boolean NOT NULL DEFAULT false; -- nothing is opened that is not recorded

CREATE TABLE bulkhead.recording_key (
    project_key bigint      NOT NULL,
    public      bytea       NOT NULL,
    sealed      bytea       NOT NULL, -- the private half
    created_at  timestamptz NOT NULL,
    CONSTRAINT recording_key_pkey PRIMARY KEY (project_key),
    CONSTRAINT recording_key_project_exists FOREIGN KEY (project_key) REFERENCES bulkhead.project (key) ON DELETE CASCADE,
    CONSTRAINT recording_key_public_size CHECK (length(public) = 32)
);

CREATE TABLE bulkhead.recording (
    tunnel_id   text        NOT NULL,
    session     integer     NOT NULL, -- of the tunnel's shells, from 1
    project_key bigint      NOT NULL,
    device_key  bigint      NOT NULL, -- of a device that may be gone
    signer      bytea       NOT NULL, -- public key of the device
    hash        bytea       NOT NULL, -- of the last chunk's head: the next one follows it
    chunks      bigint      NOT NULL,
    bytes       bigint      NOT NULL,
    state       text        NOT NULL,
    ended       text        NOT NULL, -- why it is cut
    began_at    timestamptz NOT NULL,
    last_at     timestamptz NOT NULL, -- when its newest chunk was kept
    CONSTRAINT recording_pkey PRIMARY KEY (tunnel_id, session),
    CONSTRAINT recording_tunnel_exists FOREIGN KEY (tunnel_id) REFERENCES bulkhead.tunnel (id) ON DELETE CASCADE,
    CONSTRAINT recording_project_exists FOREIGN KEY (project_key) REFERENCES bulkhead.project (key) ON DELETE CASCADE,
    CONSTRAINT recording_session_range CHECK (session BETWEEN 1 AND 1024),
    CONSTRAINT recording_state_known CHECK (state IN ('open', 'complete', 'cut')),
    CONSTRAINT recording_cut_is_told CHECK ((state = 'cut') = (ended <> '')),
    CONSTRAINT recording_has_a_first_chunk CHECK (chunks >= 1 AND bytes > 0 AND length(hash) = 32)
);
CREATE INDEX recording_newest ON bulkhead.recording (project_key, began_at DESC, tunnel_id, session);
CREATE INDEX recording_unfinished ON bulkhead.recording (state) WHERE state = 'open';
CREATE INDEX recording_oldest ON bulkhead.recording (last_at);

CREATE TABLE bulkhead.recording_chunk (
    tunnel_id text    NOT NULL,
    session   integer NOT NULL,
    sequence  bigint  NOT NULL,
    head      bytea   NOT NULL,
    body      bytea   NOT NULL,
    signature bytea   NOT NULL,
    CONSTRAINT recording_chunk_pkey PRIMARY KEY (tunnel_id, session, sequence),
    CONSTRAINT recording_chunk_recording_exists FOREIGN KEY (tunnel_id, session) REFERENCES bulkhead.recording (tunnel_id, session) ON DELETE CASCADE,
    CONSTRAINT recording_chunk_sequence_range CHECK (sequence >= 0)
);
ALTER TABLE bulkhead.recording_chunk ALTER COLUMN body SET STORAGE EXTERNAL; -- what is encrypted cannot be compressed

-- A chunk is never changed: it goes with its recording or stays.
-- +goose StatementBegin
CREATE FUNCTION bulkhead.recording_chunk_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a chunk of a recording is never changed' USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER recording_chunk_stays BEFORE UPDATE ON bulkhead.recording_chunk FOR EACH ROW EXECUTE FUNCTION bulkhead.recording_chunk_stays();

-- How much is kept of each device.
CREATE TABLE bulkhead.recording_usage (
    project_key bigint NOT NULL,
    device_key  bigint NOT NULL,
    bytes       bigint NOT NULL,
    CONSTRAINT recording_usage_pkey PRIMARY KEY (project_key, device_key),
    CONSTRAINT recording_usage_project_exists FOREIGN KEY (project_key) REFERENCES bulkhead.project (key) ON DELETE CASCADE,
    CONSTRAINT recording_usage_range CHECK (bytes >= 0)
);

-- +goose Down
DROP TABLE bulkhead.recording_usage;
DROP TABLE bulkhead.recording_chunk;
DROP FUNCTION bulkhead.recording_chunk_stays();
DROP TABLE bulkhead.recording;
DROP TABLE bulkhead.recording_key;
ALTER TABLE bulkhead.tunnel_policy DROP COLUMN recording;
ALTER TABLE bulkhead.tunnel DROP COLUMN signer, DROP COLUMN record;
