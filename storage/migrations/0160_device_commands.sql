-- Commands to devices: one row each, which is the queue as well. States move as command_center/device_commands/model.py says, and the
-- database says it again; what was asked never changes. `next_at` is machine time, the rest city time.
CREATE TABLE device_command (
    command_id  text        COLLATE "C" NOT NULL CONSTRAINT device_command_pkey PRIMARY KEY,
    device_id   text        COLLATE "C" NOT NULL CONSTRAINT device_command_device_fkey REFERENCES device (device_id),
    vendor      text        NOT NULL,
    area        text        NOT NULL,
    -- What moves something in the street is never queued.
    method      text        NOT NULL CONSTRAINT device_command_harmless CHECK (method IN ('clock_set', 'interval_set', 'preset_goto')),
    params      jsonb       NOT NULL,
    reason      text        NOT NULL,
    state       text        NOT NULL CONSTRAINT device_command_state_known CHECK (state IN (
                    'QUEUED', 'SENT', 'RECEIVED', 'EXECUTED', 'FAILED', 'EXPIRED')),
    state_zh    text        NOT NULL,
    asked_by    text        NOT NULL,
    asked_at    timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL CONSTRAINT device_command_expires_after CHECK (expires_at > asked_at),
    sends       integer     NOT NULL CONSTRAINT device_command_sends_counted CHECK (sends >= 0),
    next_at     timestamptz NOT NULL,
    sent_at     timestamptz,
    received_at timestamptz,
    ended_at    timestamptz,
    result      text        NOT NULL,
    error       text        NOT NULL,
    note        text        NOT NULL,
    changed_at  timestamptz NOT NULL,
    rev         bigint      NOT NULL,
    CONSTRAINT device_command_ends_once CHECK ((ended_at IS NOT NULL) = (state IN ('EXECUTED', 'FAILED', 'EXPIRED')))
);
CREATE INDEX device_command_by_device ON device_command (device_id, command_id);
CREATE INDEX device_command_to_send ON device_command (next_at, device_id) WHERE state IN ('QUEUED', 'SENT');

CREATE FUNCTION guard_device_command() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.state <> NEW.state
        AND (OLD.state, NEW.state) NOT IN (('QUEUED', 'SENT'), ('QUEUED', 'RECEIVED'), ('QUEUED', 'EXECUTED'), ('QUEUED', 'FAILED'),
                                           ('QUEUED', 'EXPIRED'), ('SENT', 'RECEIVED'), ('SENT', 'EXECUTED'), ('SENT', 'FAILED'),
                                           ('SENT', 'EXPIRED'), ('RECEIVED', 'EXECUTED'), ('RECEIVED', 'FAILED'),
                                           ('RECEIVED', 'EXPIRED')))
       OR (OLD.command_id, OLD.device_id, OLD.method, OLD.params, OLD.reason, OLD.asked_by, OLD.asked_at, OLD.expires_at)
          IS DISTINCT FROM
          (NEW.command_id, NEW.device_id, NEW.method, NEW.params, NEW.reason, NEW.asked_by, NEW.asked_at, NEW.expires_at) THEN
        RAISE EXCEPTION 'device_command: % from % to % refused', OLD.command_id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER device_command_guarded BEFORE UPDATE ON device_command FOR EACH ROW EXECUTE FUNCTION guard_device_command();
CREATE TRIGGER device_command_never_deleted BEFORE DELETE ON device_command FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER device_command_never_emptied BEFORE TRUNCATE ON device_command FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
