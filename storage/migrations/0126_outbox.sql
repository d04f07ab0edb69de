-- Messages to people outside, in the transaction that causes them. The recipient is sealed; states move as
-- command_center/outbox.py says, and the database says it again. `_at` is city time, the rest machine time.
CREATE TABLE outbox (
    message_id         text        COLLATE "C" NOT NULL CONSTRAINT outbox_pkey PRIMARY KEY,
    key                text        COLLATE "C" NOT NULL CONSTRAINT outbox_once UNIQUE,
    kind               text        NOT NULL,
    entity             text        NOT NULL,
    entity_id          text        NOT NULL,
    recipient          text        NOT NULL,
    text               text        NOT NULL,
    state              text        NOT NULL CONSTRAINT outbox_state_known CHECK (state IN ('QUEUED', 'SENT', 'DELIVERED', 'FAILED', 'SWALLOWED')),
    attempts           integer     NOT NULL CONSTRAINT outbox_attempts_counted CHECK (attempts >= 0),
    at                 timestamptz NOT NULL,
    next_at            timestamptz NOT NULL,
    changed_at         timestamptz NOT NULL,
    sink               text        NOT NULL,
    error              text        NOT NULL
);
CREATE INDEX outbox_due ON outbox (next_at) WHERE state = 'QUEUED';

CREATE FUNCTION guard_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.state, NEW.state) NOT IN (('QUEUED', 'QUEUED'), ('QUEUED', 'SENT'), ('QUEUED', 'FAILED'), ('QUEUED', 'SWALLOWED'),
                                      ('SENT', 'DELIVERED'), ('SENT', 'FAILED'))
       OR (OLD.key, OLD.recipient, OLD.text) IS DISTINCT FROM (NEW.key, NEW.recipient, NEW.text) THEN
        RAISE EXCEPTION 'outbox: % from % to % refused', OLD.message_id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER outbox_guarded BEFORE UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION guard_outbox();

-- What kind of tenant this schema belongs to, for life: a demonstration never becomes the real one, nor the other way round.
CREATE TABLE tenant_kind (
    only_one boolean NOT NULL DEFAULT true CONSTRAINT tenant_kind_pkey PRIMARY KEY CONSTRAINT tenant_kind_one_row CHECK (only_one),
    kind     text    NOT NULL CONSTRAINT tenant_kind_known CHECK (kind IN ('real', 'demo', 'exercise', 'test'))
);
CREATE TRIGGER tenant_kind_for_life BEFORE UPDATE OR DELETE ON tenant_kind FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER tenant_kind_never_emptied BEFORE TRUNCATE ON tenant_kind FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
