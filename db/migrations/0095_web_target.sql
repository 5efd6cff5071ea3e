-- +goose Up
-- Tunnels to web applications, which the server shows as pages.
ALTER TABLE bulkhead.tunnel
    DROP CONSTRAINT tunnel_protocol_known,
    ADD CONSTRAINT tunnel_protocol_known CHECK (protocol IN ('tcp', 'pty', 'http', 'https')),
    ADD CONSTRAINT tunnel_pages_are_read_by_the_server CHECK (NOT end_to_end OR protocol NOT IN ('http', 'https'));

-- +goose Down
DELETE FROM bulkhead.tunnel WHERE protocol IN ('http', 'https');
ALTER TABLE bulkhead.tunnel
    DROP CONSTRAINT tunnel_pages_are_read_by_the_server,
    DROP CONSTRAINT tunnel_protocol_known,
    ADD CONSTRAINT tunnel_protocol_known CHECK (protocol IN ('tcp', 'pty'));
