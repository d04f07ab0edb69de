-- The command side of one tenant: alarms and what people did about them, incidents, tasks, units, roads, timers, journal.
-- Written only by the role `command`. `_at` is city time, `_machine_at` machine wall time.

CREATE TABLE counter (
    scope text   COLLATE "C" NOT NULL CONSTRAINT counter_pkey PRIMARY KEY,
    value bigint NOT NULL CONSTRAINT counter_positive CHECK (value > 0)
);

CREATE TABLE idempotency_key (
    actor       text        COLLATE "C" NOT NULL,
    key         text        COLLATE "C" NOT NULL,
    fingerprint text        NOT NULL,
    seen_at     timestamptz NOT NULL,
    CONSTRAINT idempotency_key_pkey PRIMARY KEY (actor, key)
);

CREATE TABLE incident (
    incident_id  text             COLLATE "C" NOT NULL CONSTRAINT incident_pkey PRIMARY KEY,
    group_key    text             COLLATE "C" NOT NULL,
    kind         text             NOT NULL CONSTRAINT incident_kind_known CHECK (kind IN ('typhoon', 'flood', 'hazchem', 'other')),
    title_zh     text             NOT NULL,
    title_en     text             NOT NULL,
    state        text             NOT NULL CONSTRAINT incident_state_known CHECK (state IN (
                     'REPORTED', 'VERIFYING', 'REJECTED', 'MERGED', 'OPEN', 'GRADED', 'RESPONDING', 'CONTROLLED',
                     'TERMINATED', 'RECOVERY', 'REVIEW', 'ARCHIVED')),
    state_zh     text             NOT NULL,
    lon          double precision,
    lat          double precision,
    area         text             NOT NULL,
    colour       text             NOT NULL CONSTRAINT incident_colour_known CHECK (colour IN ('', 'blue', 'yellow', 'orange', 'red')),
    opened_at    timestamptz      NOT NULL,
    changed_at   timestamptz      NOT NULL,
    rev          bigint           NOT NULL,
    plan_id      text             NOT NULL,
    plan_version text             NOT NULL
);
-- One open incident for a kind and place: an alarm joins it or opens it, never both.
CREATE UNIQUE INDEX incident_one_open_per_group ON incident (group_key)
    WHERE state IN ('REPORTED', 'VERIFYING', 'OPEN', 'GRADED', 'RESPONDING', 'CONTROLLED');

CREATE TABLE incident_timeline (
    entry       bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT incident_timeline_pkey PRIMARY KEY,
    incident_id text        COLLATE "C" NOT NULL CONSTRAINT incident_timeline_incident_fkey REFERENCES incident (incident_id),
    at          timestamptz NOT NULL,
    actor       text        NOT NULL,
    kind        text        NOT NULL,
    text_zh     text        NOT NULL,
    text_en     text        NOT NULL,
    ref         text        NOT NULL
);
CREATE INDEX incident_timeline_by_incident ON incident_timeline (incident_id, entry);

CREATE TABLE unit (
    unit_id        text             COLLATE "C" NOT NULL CONSTRAINT unit_pkey PRIMARY KEY,
    name           text             NOT NULL,
    kind           text             NOT NULL,
    authority      text             NOT NULL CONSTRAINT unit_authority_known CHECK (authority IN ('direct', 'request', 'notify')),
    capabilities   jsonb            NOT NULL,
    status         text             NOT NULL CONSTRAINT unit_status_known CHECK (status IN (
                       'OFF', 'IN_QTRS', 'AVAIL_MOBILE', 'STANDBY', 'DISPATCHED', 'ACKED', 'EN_ROUTE', 'STAGING', 'ON_SCENE',
                       'WORKING', 'TRANSPORT', 'AT_DEST', 'RETURNING', 'BREAK', 'OOS')),
    idle_status    text             NOT NULL,
    lon            double precision NOT NULL CONSTRAINT unit_lon_range CHECK (lon BETWEEN -180 AND 180),
    lat            double precision NOT NULL CONSTRAINT unit_lat_range CHECK (lat BETWEEN -90 AND 90),
    heading        double precision,
    speed_ms       double precision,
    fix_at         timestamptz,
    task_id        text             COLLATE "C" NOT NULL,
    wading_depth_m double precision NOT NULL,
    area           text             NOT NULL,
    phone          text             NOT NULL,
    rev            bigint           NOT NULL
);
CREATE UNIQUE INDEX unit_one_per_task ON unit (task_id) WHERE task_id <> '';

CREATE TABLE unit_fix (
    unit_id  text             COLLATE "C" NOT NULL CONSTRAINT unit_fix_unit_fkey REFERENCES unit (unit_id),
    at       timestamptz      NOT NULL,
    lon      double precision NOT NULL,
    lat      double precision NOT NULL,
    heading  double precision,
    speed_ms double precision,
    CONSTRAINT unit_fix_pkey PRIMARY KEY (unit_id, at)
);

CREATE TABLE task (
    task_id        text             COLLATE "C" NOT NULL CONSTRAINT task_pkey PRIMARY KEY,
    incident_id    text             COLLATE "C" NOT NULL CONSTRAINT task_incident_fkey REFERENCES incident (incident_id),
    origin         text             COLLATE "C" NOT NULL,
    pre_authorised boolean          NOT NULL,
    refused_units  jsonb            NOT NULL,
    title_zh       text             NOT NULL,
    title_en       text             NOT NULL,
    detail_zh      text             NOT NULL,
    detail_en      text             NOT NULL,
    capability     text             NOT NULL,
    state          text             NOT NULL CONSTRAINT task_state_known CHECK (state IN (
                       'DRAFT', 'ISSUED', 'DELIVERED', 'ACKED', 'ACCEPTED', 'DECLINED', 'EN_ROUTE', 'ON_SCENE', 'IN_PROGRESS',
                       'REPORTED_DONE', 'VERIFIED', 'CLOSED', 'PARTIAL', 'FAILED', 'SUSPENDED', 'RECALLED', 'SUPERSEDED', 'EXPIRED')),
    state_zh       text             NOT NULL,
    unit_id        text             COLLATE "C" NOT NULL,
    unit_name      text             NOT NULL,
    unit_authority text             NOT NULL,
    lon            double precision NOT NULL,
    lat            double precision NOT NULL,
    place          text             NOT NULL,
    due_at         timestamptz,
    issued_at      timestamptz,
    changed_at     timestamptz      NOT NULL,
    rev            bigint           NOT NULL,
    eta_s          double precision,
    CONSTRAINT task_drafted_once UNIQUE (incident_id, origin)
);
CREATE INDEX task_by_unit ON task (unit_id) WHERE unit_id <> '';

CREATE TABLE task_history (
    entry      bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT task_history_pkey PRIMARY KEY,
    task_id    text        COLLATE "C" NOT NULL CONSTRAINT task_history_task_fkey REFERENCES task (task_id),
    at         timestamptz NOT NULL,
    source     text        NOT NULL,
    target     text        NOT NULL,
    actor      text        NOT NULL,
    comment    text        NOT NULL,
    device_at  timestamptz
);
CREATE INDEX task_history_by_task ON task_history (task_id, entry);

CREATE TABLE alarm (
    alarm_id    text        COLLATE "C" NOT NULL CONSTRAINT alarm_pkey PRIMARY KEY,
    firing      boolean     NOT NULL,
    raised_at   timestamptz NOT NULL,
    n           bigint      NOT NULL,
    condition   jsonb       NOT NULL,
    incident_id text        COLLATE "C" CONSTRAINT alarm_incident_fkey REFERENCES incident (incident_id),
    side_rev    bigint      NOT NULL,
    side        jsonb       NOT NULL
);
CREATE INDEX alarm_newest ON alarm (raised_at DESC, alarm_id DESC);
CREATE INDEX alarm_by_incident ON alarm (incident_id) WHERE incident_id IS NOT NULL;

CREATE TABLE alarm_transition (
    alarm_id       text        COLLATE "C" NOT NULL,
    n              bigint      NOT NULL,
    kind           text        NOT NULL,
    at             timestamptz NOT NULL,
    input_position bigint      NOT NULL,
    ordinal        integer     NOT NULL,
    document       jsonb       NOT NULL,
    CONSTRAINT alarm_transition_pkey PRIMARY KEY (alarm_id, n)
);

CREATE TABLE closure (
    closure_id text             COLLATE "C" NOT NULL CONSTRAINT closure_pkey PRIMARY KEY,
    source     text             COLLATE "C" NOT NULL, -- what closes by itself; '' for a person's
    edges      jsonb            NOT NULL,
    reason     text             NOT NULL,
    lon        double precision NOT NULL,
    lat        double precision NOT NULL,
    depth_m    double precision, -- null: unknown, closed for everyone
    since_at   timestamptz      NOT NULL,
    expires_at timestamptz,
    author     text             NOT NULL,
    evidence   text             NOT NULL,
    ended_at   timestamptz,
    ended_by   text
);
CREATE UNIQUE INDEX closure_one_open_per_source ON closure (source) WHERE source <> '' AND ended_at IS NULL;

CREATE TABLE agency_request (
    request_id  text        COLLATE "C" NOT NULL CONSTRAINT agency_request_pkey PRIMARY KEY,
    task_id     text        COLLATE "C" NOT NULL CONSTRAINT agency_request_task_fkey REFERENCES task (task_id),
    incident_id text        COLLATE "C" NOT NULL CONSTRAINT agency_request_incident_fkey REFERENCES incident (incident_id),
    unit_id     text        COLLATE "C" NOT NULL CONSTRAINT agency_request_unit_fkey REFERENCES unit (unit_id),
    kind        text        NOT NULL,
    state       text        NOT NULL CONSTRAINT agency_request_state_known CHECK (state IN (
                    'REQUESTED', 'SIGNED', 'COMMITTED', 'REFUSED', 'WITHDRAWN')),
    asked_at    timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL,
    asked_by    text        NOT NULL,
    signed_by   text        NOT NULL,
    comment     text        NOT NULL,
    rev         bigint      NOT NULL
);

CREATE TABLE timer (
    timer_id  text        COLLATE "C" NOT NULL CONSTRAINT timer_pkey PRIMARY KEY,
    kind      text        NOT NULL,
    entity_id text        NOT NULL,
    clock     text        NOT NULL CONSTRAINT timer_clock_known CHECK (clock IN ('machine', 'city')),
    due_at    timestamptz NOT NULL,
    data      jsonb       NOT NULL
);
CREATE INDEX timer_due ON timer (clock, due_at);

CREATE TABLE journal (
    seq          bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT journal_pkey PRIMARY KEY,
    at           timestamptz NOT NULL,
    machine_at   timestamptz NOT NULL,
    actor        text        NOT NULL,
    on_behalf_of text        NOT NULL,
    entity       text        COLLATE "C" NOT NULL,
    entity_id    text        COLLATE "C" NOT NULL,
    action       text        NOT NULL,
    before       jsonb,
    after        jsonb,
    reason       text        NOT NULL
);
CREATE INDEX journal_by_entity ON journal (entity, entity_id, seq);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE ON journal FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER journal_never_emptied BEFORE TRUNCATE ON journal FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER task_history_append_only BEFORE UPDATE OR DELETE ON task_history FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER alarm_transition_append_only BEFORE UPDATE OR DELETE ON alarm_transition FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER incident_timeline_append_only BEFORE UPDATE OR DELETE ON incident_timeline FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What screens get in order. Written under the lock of the write transaction, so numbers are in commit order.
CREATE TABLE live_event (
    seq     bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT live_event_pkey PRIMARY KEY,
    channel text        COLLATE "C" NOT NULL,
    at      timestamptz NOT NULL,
    kind    text        NOT NULL,
    id      text        NOT NULL,
    rev     bigint      NOT NULL,
    data    jsonb       NOT NULL
);
CREATE INDEX live_event_by_channel ON live_event (channel, seq);

CREATE TABLE app_user (
    username             text        COLLATE "C" NOT NULL CONSTRAINT app_user_pkey PRIMARY KEY,
    document             jsonb       NOT NULL,
    password_hash        text        NOT NULL,
    failures             integer     NOT NULL,
    locked_until_machine_at timestamptz,
    changed_machine_at   timestamptz NOT NULL
);
