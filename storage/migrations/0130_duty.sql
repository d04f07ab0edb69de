-- Duty: posts, shifts, absences, hand-overs, the duty log, instructions as supervised tasks.

CREATE TABLE duty_post (
    post      text    COLLATE "C" NOT NULL CONSTRAINT duty_post_pkey PRIMARY KEY,
    zh        text    NOT NULL,
    en        text    NOT NULL,
    step      integer NOT NULL CONSTRAINT duty_post_step_once UNIQUE,
    required  boolean NOT NULL,
    hand_over boolean NOT NULL,
    hazards   jsonb   NOT NULL
);

CREATE TABLE duty_shift (
    shift_id   text        COLLATE "C" NOT NULL CONSTRAINT duty_shift_pkey PRIMARY KEY,
    post       text        COLLATE "C" NOT NULL,
    username   text        COLLATE "C" NOT NULL,
    name       text        NOT NULL,
    phone      text        NOT NULL, -- sealed
    phone_mask text        NOT NULL,
    area       text        COLLATE "C" NOT NULL,
    from_at    timestamptz NOT NULL,
    to_at      timestamptz NOT NULL,
    rev        bigint      NOT NULL,
    CONSTRAINT duty_shift_ends_after_it_begins CHECK (to_at > from_at),
    CONSTRAINT duty_shift_names_somebody CHECK (username <> '' OR name <> '')
);
CREATE INDEX duty_shift_by_end ON duty_shift (to_at, from_at);
CREATE INDEX duty_shift_by_start ON duty_shift (from_at);

CREATE TABLE duty_absence (
    absence_id text        COLLATE "C" NOT NULL CONSTRAINT duty_absence_pkey PRIMARY KEY,
    username   text        COLLATE "C" NOT NULL,
    from_at    timestamptz NOT NULL,
    to_at      timestamptz NOT NULL,
    reason     text        NOT NULL,
    CONSTRAINT duty_absence_ends_after_it_begins CHECK (to_at > from_at)
);
CREATE INDEX duty_absence_by_end ON duty_absence (to_at);

CREATE TABLE duty_handover (
    handover_id       text        COLLATE "C" NOT NULL CONSTRAINT duty_handover_pkey PRIMARY KEY,
    post              text        COLLATE "C" NOT NULL,
    area              text        COLLATE "C" NOT NULL,
    shift_id          text        COLLATE "C" NOT NULL,
    from_user         text        COLLATE "C" NOT NULL,
    to_user           text        COLLATE "C" NOT NULL,
    substitute_reason text        NOT NULL,
    state             text        NOT NULL CONSTRAINT duty_handover_state_known CHECK (state IN (
                          'DRAFT', 'SIGNED_OUT', 'SIGNED_IN', 'WITHDRAWN')),
    state_zh          text        NOT NULL,
    remarks           text        NOT NULL,
    summary           jsonb       NOT NULL,
    open_items        jsonb       NOT NULL,
    signatures        jsonb       NOT NULL,
    created_at        timestamptz NOT NULL,
    changed_at        timestamptz NOT NULL,
    rev               bigint      NOT NULL,
    CONSTRAINT duty_handover_two_people CHECK (from_user <> to_user)
);
CREATE INDEX duty_handover_by_shift ON duty_handover (shift_id) WHERE shift_id <> '';

-- What was handed over is what stood there: the snapshot of a draft and a finished hand-over never change.
CREATE FUNCTION refuse_handover_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state IN ('SIGNED_IN', 'WITHDRAWN') OR NEW.open_items <> OLD.open_items OR NEW.summary <> OLD.summary
       OR NEW.from_user <> OLD.from_user OR NEW.created_at <> OLD.created_at THEN
        RAISE EXCEPTION 'duty_handover %: its snapshot and what was signed stay as they are', OLD.handover_id
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER duty_handover_snapshot_stays BEFORE UPDATE ON duty_handover FOR EACH ROW EXECUTE FUNCTION refuse_handover_change();
CREATE TRIGGER duty_handover_never_deleted BEFORE DELETE ON duty_handover FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER duty_handover_never_emptied BEFORE TRUNCATE ON duty_handover FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE duty_log (
    entry_id       text        COLLATE "C" NOT NULL CONSTRAINT duty_log_pkey PRIMARY KEY,
    at             timestamptz NOT NULL,
    actor          text        NOT NULL,
    kind           text        NOT NULL CONSTRAINT duty_log_kind_known CHECK (kind IN (
                       'call', 'paper', 'instruction', 'patrol', 'weather', 'other', 'shift', 'handover', 'incident')),
    kind_zh        text        NOT NULL,
    text           text        NOT NULL,
    area           text        COLLATE "C" NOT NULL,
    alarm_id       text        COLLATE "C" NOT NULL,
    incident_id    text        COLLATE "C" NOT NULL,
    instruction_id text        COLLATE "C" NOT NULL,
    corrects       text        COLLATE "C" NOT NULL,
    auto           boolean     NOT NULL
);
CREATE TRIGGER duty_log_append_only BEFORE UPDATE OR DELETE ON duty_log FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER duty_log_never_emptied BEFORE TRUNCATE ON duty_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE instruction (
    instruction_id text        COLLATE "C" NOT NULL CONSTRAINT instruction_pkey PRIMARY KEY,
    text           text        NOT NULL,
    urgency        text        NOT NULL CONSTRAINT instruction_urgency_known CHECK (urgency IN ('urgent', 'pressing', 'normal')),
    urgency_zh     text        NOT NULL,
    issued_by      text        COLLATE "C" NOT NULL,
    issued_at      timestamptz NOT NULL,
    due_at         timestamptz,
    incident_id    text        COLLATE "C" NOT NULL,
    area           text        COLLATE "C" NOT NULL,
    state          text        NOT NULL CONSTRAINT instruction_state_known CHECK (state IN (
                       'ISSUED', 'RECEIVED', 'IN_PROGRESS', 'REPORTED', 'RETURNED', 'CHECKED', 'CLOSED', 'RECALLED')),
    state_zh       text        NOT NULL,
    open           boolean     NOT NULL,
    changed_at     timestamptz NOT NULL,
    rev            bigint      NOT NULL
);
CREATE INDEX instruction_open ON instruction (instruction_id) WHERE open;

CREATE TABLE instruction_addressee (
    instruction_id text        COLLATE "C" NOT NULL CONSTRAINT instruction_addressee_instruction_fkey REFERENCES instruction (instruction_id),
    n              integer     NOT NULL,
    kind           text        NOT NULL CONSTRAINT instruction_addressee_kind_known CHECK (kind IN ('user', 'unit', 'organisation')),
    id             text        COLLATE "C" NOT NULL,
    name           text        NOT NULL,
    state          text        NOT NULL CONSTRAINT instruction_addressee_state_known CHECK (state IN (
                       'ISSUED', 'RECEIVED', 'IN_PROGRESS', 'REPORTED', 'RETURNED', 'CHECKED', 'CLOSED', 'RECALLED')),
    state_zh       text        NOT NULL,
    report         text        NOT NULL,
    overdue        boolean     NOT NULL,
    received_at    timestamptz,
    reported_at    timestamptz,
    changed_at     timestamptz NOT NULL,
    CONSTRAINT instruction_addressee_pkey PRIMARY KEY (instruction_id, n),
    CONSTRAINT instruction_addressee_once UNIQUE (instruction_id, kind, id)
);

CREATE TABLE instruction_timeline (
    entry          bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT instruction_timeline_pkey PRIMARY KEY,
    instruction_id text        COLLATE "C" NOT NULL CONSTRAINT instruction_timeline_instruction_fkey REFERENCES instruction (instruction_id),
    at             timestamptz NOT NULL,
    actor          text        NOT NULL,
    kind           text        NOT NULL,
    text_zh        text        NOT NULL,
    text_en        text        NOT NULL,
    n              integer     NOT NULL
);
CREATE INDEX instruction_timeline_by_instruction ON instruction_timeline (instruction_id, entry);
CREATE TRIGGER instruction_timeline_append_only BEFORE UPDATE OR DELETE ON instruction_timeline FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER instruction_timeline_never_emptied BEFORE TRUNCATE ON instruction_timeline FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
