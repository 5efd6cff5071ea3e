-- +goose Up
-- Tunnels, from their request on, and what projects ask for before one is opened.
CREATE TABLE bulkhead.tunnel (
    id           text        NOT NULL,
    project_key  bigint      NOT NULL,
    device_key   bigint      NOT NULL, -- of a device that may be gone
    device_name  text        NOT NULL,
    serial       uuid        NOT NULL,
    actor_kind   text        NOT NULL, -- who asked for it
    actor_id     text        NOT NULL,
    actor_name   text        NOT NULL,
    login        text        NOT NULL, -- or API key
    protocol     text        NOT NULL,
    host         text        NOT NULL,
    port         integer     NOT NULL,
    end_to_end   boolean     NOT NULL,
    reason       text        NOT NULL,
    ttl_seconds  integer     NOT NULL,
    state        text        NOT NULL,
    asked_at     timestamptz NOT NULL,
    approver     text        NOT NULL,
    opened_at    timestamptz,
    expires_at   timestamptz,
    closed_at    timestamptz,
    ended        text        NOT NULL,
    sent         bigint      NOT NULL,
    received     bigint      NOT NULL,
    streams      integer     NOT NULL,
    CONSTRAINT tunnel_pkey PRIMARY KEY (id),
    CONSTRAINT tunnel_project_exists FOREIGN KEY (project_key) REFERENCES bulkhead.project (key) ON DELETE CASCADE,
    CONSTRAINT tunnel_protocol_known CHECK (protocol IN ('tcp', 'pty')),
    CONSTRAINT tunnel_state_known CHECK (state IN ('requested', 'approved', 'granted', 'open', 'closed', 'denied')),
    CONSTRAINT tunnel_nobody_approves_their_own CHECK (approver <> actor_kind || ':' || actor_id),
    CONSTRAINT tunnel_open_is_granted CHECK (state NOT IN ('granted', 'open') OR expires_at IS NOT NULL),
    CONSTRAINT tunnel_end_is_told CHECK ((state IN ('closed', 'denied')) = (closed_at IS NOT NULL)),
    CONSTRAINT tunnel_ttl_range CHECK (ttl_seconds BETWEEN 60 AND 28800)
);
CREATE INDEX tunnel_project ON bulkhead.tunnel (project_key, asked_at DESC, id);
CREATE INDEX tunnel_unfinished ON bulkhead.tunnel (state) WHERE state IN ('granted', 'open');

CREATE TABLE bulkhead.tunnel_policy (
    project_key bigint  NOT NULL,
    approval    boolean NOT NULL, -- by one other person
    CONSTRAINT tunnel_policy_pkey PRIMARY KEY (project_key),
    CONSTRAINT tunnel_policy_project_exists FOREIGN KEY (project_key) REFERENCES bulkhead.project (key) ON DELETE CASCADE
);

-- +goose Down
DROP TABLE bulkhead.tunnel_policy;
DROP TABLE bulkhead.tunnel;
