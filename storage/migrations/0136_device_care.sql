-- The care of devices: calibrations, repair tickets, acceptance checklists.
CREATE TABLE device_calibration (
    calibration_id text        COLLATE "C" NOT NULL CONSTRAINT device_calibration_pkey PRIMARY KEY,
    device_id      text        COLLATE "C" NOT NULL
                               CONSTRAINT device_calibration_device_fkey REFERENCES device (device_id),
    calibrated_at  timestamptz NOT NULL,
    calibrated_by  text        NOT NULL,
    certificate    text        NOT NULL,
    due_at         timestamptz CONSTRAINT device_calibration_due_after CHECK (due_at > calibrated_at),
    offsets        jsonb       NOT NULL,
    comment        text        NOT NULL,
    recorded_by    text        NOT NULL,
    recorded_at    timestamptz NOT NULL
);
CREATE INDEX device_calibration_by_device ON device_calibration (device_id, calibrated_at);
CREATE TRIGGER device_calibration_append_only BEFORE UPDATE OR DELETE ON device_calibration FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER device_calibration_never_emptied BEFORE TRUNCATE ON device_calibration FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE device_ticket (
    ticket_id   text        COLLATE "C" NOT NULL CONSTRAINT device_ticket_pkey PRIMARY KEY,
    device_id   text        COLLATE "C" NOT NULL CONSTRAINT device_ticket_device_fkey REFERENCES device (device_id),
    vendor      text        NOT NULL,
    area        text        NOT NULL,
    origin      text        NOT NULL CONSTRAINT device_ticket_origin_known CHECK (origin IN ('hand', 'no_data')),
    title       text        NOT NULL,
    detail      text        NOT NULL,
    state       text        NOT NULL CONSTRAINT device_ticket_state_known CHECK (state IN (
                    'OPEN', 'ASSIGNED', 'IN_PROGRESS', 'REPORTED', 'CHECKED', 'CLOSED', 'REJECTED')),
    state_zh    text        NOT NULL,
    assignee    text        NOT NULL,
    reported_by text        NOT NULL,
    opened_by   text        NOT NULL,
    opened_at   timestamptz NOT NULL,
    due_at      timestamptz,
    changed_at  timestamptz NOT NULL,
    rev         bigint      NOT NULL
);
CREATE INDEX device_ticket_by_device ON device_ticket (device_id, ticket_id);
-- A silent device is mended once: two people at the proposals make one ticket.
CREATE UNIQUE INDEX device_ticket_one_silence ON device_ticket (device_id)
    WHERE origin = 'no_data' AND state NOT IN ('CLOSED', 'REJECTED');

CREATE TABLE device_ticket_step (
    entry     bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT device_ticket_step_pkey PRIMARY KEY,
    ticket_id text        COLLATE "C" NOT NULL
                          CONSTRAINT device_ticket_step_ticket_fkey REFERENCES device_ticket (ticket_id),
    at        timestamptz NOT NULL,
    source    text        NOT NULL,
    target    text        NOT NULL,
    actor     text        NOT NULL,
    comment   text        NOT NULL
);
CREATE INDEX device_ticket_step_by_ticket ON device_ticket_step (ticket_id, entry);
CREATE TRIGGER device_ticket_step_append_only BEFORE UPDATE OR DELETE ON device_ticket_step FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER device_ticket_step_never_emptied BEFORE TRUNCATE ON device_ticket_step FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE device_acceptance (
    device_id        text        COLLATE "C" NOT NULL CONSTRAINT device_acceptance_pkey PRIMARY KEY
                                 CONSTRAINT device_acceptance_device_fkey REFERENCES device (device_id),
    checklist        text        NOT NULL,
    answers          jsonb       NOT NULL,
    vendor_signed_by text,
    vendor_signed_at timestamptz,
    city_signed_by   text,
    city_signed_at   timestamptz,
    changed_at       timestamptz NOT NULL,
    rev              bigint      NOT NULL,
    CONSTRAINT device_acceptance_two_persons CHECK (vendor_signed_by <> city_signed_by),
    CONSTRAINT device_acceptance_vendor_whole CHECK ((vendor_signed_by IS NULL) = (vendor_signed_at IS NULL)),
    CONSTRAINT device_acceptance_city_whole CHECK ((city_signed_by IS NULL) = (city_signed_at IS NULL))
);
