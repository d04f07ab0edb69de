-- Client certificates of devices, by common name: what the broker's revocation list is written from.
CREATE TABLE device_certificate (
    serial             text        COLLATE "C" NOT NULL CONSTRAINT device_certificate_pkey PRIMARY KEY,
    device_id          text        COLLATE "C" NOT NULL
                                   CONSTRAINT device_certificate_device_fkey REFERENCES device (device_id),
    issued_machine_at  timestamptz NOT NULL,
    expires_machine_at timestamptz NOT NULL,
    issued_by          text        NOT NULL,
    revoked_machine_at timestamptz,
    CONSTRAINT device_certificate_span CHECK (expires_machine_at > issued_machine_at)
);
CREATE INDEX device_certificate_by_device ON device_certificate (device_id);
-- One in force for a device: a new one revokes the one before in the same transaction.
CREATE UNIQUE INDEX device_certificate_one_in_force ON device_certificate (device_id) WHERE revoked_machine_at IS NULL;
