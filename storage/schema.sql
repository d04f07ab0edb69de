-- What a tenant's schema is after all migrations; read this, not the migrations. A test compares the two on every tier.
-- Written by hand beside each migration: forward only there, whole here. `-- tier:` opens blocks as in storage/migrate.py.

-- The observation side of one tenant: registry, history, latest, what devices said, what was refused, static layers.
-- Everything with a time in it is city time. Log positions are those of the tenant's log.

CREATE TABLE log_cursor (
    name     text        NOT NULL CONSTRAINT log_cursor_pkey PRIMARY KEY,
    position bigint      NOT NULL,
    at       timestamptz NOT NULL
);

CREATE TABLE registry_revision (
    revision bigint      NOT NULL CONSTRAINT registry_revision_pkey PRIMARY KEY,
    at       timestamptz NOT NULL,
    actor    text        NOT NULL,
    summary  text        NOT NULL,
    appended boolean     NOT NULL -- its control record is in the log
);

CREATE TABLE device (
    device_id  text        COLLATE "C" NOT NULL CONSTRAINT device_pkey PRIMARY KEY
                           CONSTRAINT device_id_form CHECK (device_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    model      text        NOT NULL,
    kind       text        NOT NULL,
    vendor     text        NOT NULL,
    document   jsonb       NOT NULL,
    removed    boolean     NOT NULL,
    revision   bigint      NOT NULL
                           CONSTRAINT device_revision_fkey REFERENCES registry_revision (revision),
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX device_by_revision ON device (revision);

CREATE TABLE device_credential (
    device_id     text        COLLATE "C" NOT NULL CONSTRAINT device_credential_pkey PRIMARY KEY
                              CONSTRAINT device_credential_device_fkey REFERENCES device (device_id),
    password_hash text        NOT NULL,
    created_at    timestamptz NOT NULL
);

-- The numbers that stand in the log; given once, never again to another series.
CREATE TABLE datastream (
    datastream integer          GENERATED ALWAYS AS IDENTITY CONSTRAINT datastream_pkey PRIMARY KEY,
    device_id  text             COLLATE "C" NOT NULL
                                CONSTRAINT datastream_device_fkey REFERENCES device (device_id),
    property   text             COLLATE "C" NOT NULL,
    uom        text             NOT NULL,
    kind       text             NOT NULL CONSTRAINT datastream_kind_known CHECK (kind IN ('number', 'bool', 'text')),
    interval_s double precision NOT NULL CONSTRAINT datastream_interval_positive CHECK (interval_s > 0),
    active     boolean          NOT NULL,
    CONSTRAINT datastream_key UNIQUE (device_id, property)
);

CREATE TABLE threshold_change (
    device_id  text        COLLATE "C" NOT NULL
                           CONSTRAINT threshold_change_device_fkey REFERENCES device (device_id),
    property   text        COLLATE "C" NOT NULL,
    revision   bigint      NOT NULL
                           CONSTRAINT threshold_change_revision_fkey REFERENCES registry_revision (revision),
    thresholds jsonb       NOT NULL,
    previous   jsonb,
    author     text        NOT NULL,
    approver   text        NOT NULL CONSTRAINT threshold_change_two_persons CHECK (approver <> author),
    source     text        NOT NULL CONSTRAINT threshold_change_sourced CHECK (source <> ''),
    at         timestamptz NOT NULL,
    CONSTRAINT threshold_change_pkey PRIMARY KEY (device_id, property, revision)
);

CREATE TABLE observation (
    datastream      integer          NOT NULL,
    phenomenon_time timestamptz      NOT NULL,
    receive_time    timestamptz      NOT NULL,
    device_time     timestamptz,
    result          double precision,
    result_text     text,
    quality         smallint         NOT NULL CONSTRAINT observation_quality_known CHECK (quality IN (1, 2, 3, 4, 9)),
    source          integer          NOT NULL,
    seq             bigint,
    CONSTRAINT observation_pkey PRIMARY KEY (datastream, phenomenon_time)
)
-- tier: plain
PARTITION BY RANGE (phenomenon_time)
-- tier: all
;

-- tier: timescale
SELECT create_hypertable('observation', by_range('phenomenon_time', INTERVAL '7 days'), create_default_indexes => false);

-- Chunks come by themselves.
CREATE FUNCTION observation_ensure(from_time timestamptz, to_time timestamptz) RETURNS integer
LANGUAGE sql AS $$ SELECT 0 $$;

-- Drops what lies wholly before the bound; returns how many chunks.
CREATE FUNCTION observation_drop_before(bound timestamptz) RETURNS integer
LANGUAGE sql AS $$ SELECT count(*)::integer FROM drop_chunks('observation', older_than => bound) $$;

-- tier: plain
-- Weekly partitions, named by their first day and aligned to 1970-01-01 like TimescaleDB's chunks; returns how many were made.
CREATE FUNCTION observation_ensure(from_time timestamptz, to_time timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    week   timestamptz := date_bin(INTERVAL '7 days', from_time, TIMESTAMPTZ '1970-01-01 00:00:00+00');
    name   text;
    made   integer := 0;
BEGIN
    WHILE week <= to_time LOOP
        name := 'observation_p' || to_char(week AT TIME ZONE 'UTC', 'YYYYMMDD');
        IF to_regclass(quote_ident(current_schema()) || '.' || name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF observation FOR VALUES FROM (%L) TO (%L)',
                           name, week, week + INTERVAL '7 days');
            made := made + 1;
        END IF;
        week := week + INTERVAL '7 days';
    END LOOP;
    RETURN made;
END $$;

-- Drops what lies wholly before the bound; returns how many partitions.
CREATE FUNCTION observation_drop_before(bound timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    name    text;
    dropped integer := 0;
BEGIN
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'observation'::regclass
           AND to_date(substr(c.relname, 14), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' + INTERVAL '7 days' <= bound
         ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %I', name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;
-- tier: all

-- Phenomenon times that would make partitions all over history: kept, but not in the partitioned table.
CREATE TABLE observation_outlier (
    datastream      integer          NOT NULL,
    phenomenon_time timestamptz      NOT NULL,
    receive_time    timestamptz      NOT NULL,
    device_time     timestamptz,
    result          double precision,
    result_text     text,
    quality         smallint         NOT NULL
                    CONSTRAINT observation_outlier_quality_known CHECK (quality IN (1, 2, 3, 4, 9)),
    source          integer          NOT NULL,
    seq             bigint,
    CONSTRAINT observation_outlier_pkey PRIMARY KEY (datastream, phenomenon_time)
);

-- A second value for a key that was there already; the first stays in force.
CREATE TABLE observation_conflict (
    datastream      integer          NOT NULL,
    phenomenon_time timestamptz      NOT NULL,
    receive_time    timestamptz      NOT NULL,
    value           text             NOT NULL,
    device_time     timestamptz,
    result          double precision,
    result_text     text,
    quality         smallint         NOT NULL,
    source          integer          NOT NULL,
    seq             bigint,
    CONSTRAINT observation_conflict_pkey PRIMARY KEY (datastream, phenomenon_time, receive_time, value)
);

-- Samples of a wrong clock are unique by what the device said, although they stand at their receive time.
CREATE TABLE observation_clock_fault (
    datastream      integer          NOT NULL,
    device_time     timestamptz      NOT NULL,
    phenomenon_time timestamptz      NOT NULL,
    result          double precision,
    result_text     text,
    CONSTRAINT observation_clock_fault_pkey PRIMARY KEY (datastream, device_time)
);

-- The newest value of each series. effective_time = the earlier of phenomenon and receive time: a stamp from the future
-- never blocks what comes after it.
CREATE TABLE latest (
    datastream      integer          NOT NULL CONSTRAINT latest_pkey PRIMARY KEY,
    effective_time  timestamptz      NOT NULL,
    phenomenon_time timestamptz      NOT NULL,
    receive_time    timestamptz      NOT NULL,
    device_time     timestamptz,
    result          double precision,
    result_text     text,
    quality         smallint         NOT NULL,
    source          integer          NOT NULL
) WITH (fillfactor = 70);

-- What arrived per series, for the vendor: counted in the same transaction as the rows.
CREATE TABLE datastream_stat (
    datastream        integer     NOT NULL CONSTRAINT datastream_stat_pkey PRIMARY KEY,
    received          bigint      NOT NULL,
    flagged           bigint      NOT NULL,
    clock_fault       bigint      NOT NULL,
    backfilled        bigint      NOT NULL,
    last_receive_time timestamptz NOT NULL,
    clock_offset_us   bigint
) WITH (fillfactor = 70);

CREATE TABLE device_event (
    device_id       text        COLLATE "C" NOT NULL,
    event_id        text        COLLATE "C" NOT NULL,
    event_type      text        NOT NULL,
    phenomenon_time timestamptz NOT NULL,
    receive_time    timestamptz NOT NULL,
    data            jsonb       NOT NULL,
    position        bigint      NOT NULL,
    CONSTRAINT device_event_pkey PRIMARY KEY (device_id, event_id)
);
CREATE INDEX device_event_by_time ON device_event (device_id, phenomenon_time);
CREATE INDEX device_event_by_receive ON device_event (receive_time);

CREATE TABLE device_state (
    device_id    text        COLLATE "C" NOT NULL CONSTRAINT device_state_pkey PRIMARY KEY,
    online       boolean,
    receive_time timestamptz NOT NULL,
    changed_time timestamptz NOT NULL,
    data         jsonb       NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE device_attr (
    device_id    text        COLLATE "C" NOT NULL,
    key          text        COLLATE "C" NOT NULL,
    value        jsonb       NOT NULL,
    receive_time timestamptz NOT NULL,
    CONSTRAINT device_attr_pkey PRIMARY KEY (device_id, key)
);

CREATE TABLE dead_letter (
    position     bigint      NOT NULL CONSTRAINT dead_letter_pkey PRIMARY KEY,
    device_id    text        COLLATE "C" NOT NULL,
    receive_time timestamptz NOT NULL,
    reason       text        NOT NULL,
    data         jsonb       NOT NULL,
    raw          bytea,
    sha256       text        NOT NULL,
    size_bytes   bigint      NOT NULL
);
CREATE INDEX dead_letter_by_device ON dead_letter (device_id, position);
CREATE INDEX dead_letter_by_receive ON dead_letter (receive_time);

CREATE TABLE refusal (
    position     bigint      NOT NULL CONSTRAINT refusal_pkey PRIMARY KEY,
    device_id    text        COLLATE "C" NOT NULL,
    receive_time timestamptz NOT NULL,
    reason       text        NOT NULL,
    count        bigint      NOT NULL,
    data         jsonb       NOT NULL
);
CREATE INDEX refusal_by_device ON refusal (device_id, position);
CREATE INDEX refusal_by_receive ON refusal (receive_time);

CREATE TABLE ingest_note (
    position     bigint      NOT NULL CONSTRAINT ingest_note_pkey PRIMARY KEY,
    device_id    text        COLLATE "C" NOT NULL,
    receive_time timestamptz NOT NULL,
    reason       text        NOT NULL,
    data         jsonb       NOT NULL
);
CREATE INDEX ingest_note_by_device ON ingest_note (device_id, position);
CREATE INDEX ingest_note_by_receive ON ingest_note (receive_time);

CREATE TABLE feature_layer (
    layer      text        COLLATE "C" NOT NULL CONSTRAINT feature_layer_pkey PRIMARY KEY,
    etag       text        NOT NULL,
    features   integer     NOT NULL,
    changed_at timestamptz NOT NULL
);

CREATE TABLE feature (
    layer      text  COLLATE "C" NOT NULL CONSTRAINT feature_layer_fkey REFERENCES feature_layer (layer),
    feature_id text  COLLATE "C" NOT NULL,
    geometry   jsonb NOT NULL,
    properties jsonb NOT NULL,
    CONSTRAINT feature_pkey PRIMARY KEY (layer, feature_id)
);

-- Rules, plans, device models and other data that people write: every version that was ever in force.
CREATE TABLE document (
    kind        text        COLLATE "C" NOT NULL,
    document_id text        COLLATE "C" NOT NULL,
    version     text        COLLATE "C" NOT NULL,
    body        jsonb       NOT NULL,
    author      text        NOT NULL,
    source      text        NOT NULL,
    at          timestamptz NOT NULL,
    CONSTRAINT document_pkey PRIMARY KEY (kind, document_id, version)
);

-- tier: all
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
    CONSTRAINT task_drafted_once UNIQUE (incident_id, origin),
    area text NOT NULL DEFAULT '',
    hazard text NOT NULL DEFAULT ''
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
    ended_by   text,
    area text NOT NULL DEFAULT ''
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
CREATE TRIGGER task_history_never_emptied BEFORE TRUNCATE ON task_history FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER alarm_transition_never_emptied BEFORE TRUNCATE ON alarm_transition FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER incident_timeline_never_emptied BEFORE TRUNCATE ON incident_timeline FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

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
    changed_machine_at   timestamptz NOT NULL,
    last_login_machine_at timestamptz,
    password_machine_at timestamptz -- null: from before this was kept
);

-- 指挥长 and 现场指挥 of one incident, from .. until.
CREATE TABLE incident_role (
    role_id     text        COLLATE "C" NOT NULL CONSTRAINT incident_role_pkey PRIMARY KEY,
    incident_id text        COLLATE "C" NOT NULL CONSTRAINT incident_role_incident_fkey REFERENCES incident (incident_id),
    username    text        COLLATE "C" NOT NULL CONSTRAINT incident_role_user_fkey REFERENCES app_user (username),
    role        text        NOT NULL CONSTRAINT incident_role_known CHECK (role IN ('commander', 'scene')),
    from_at     timestamptz NOT NULL,
    until_at    timestamptz NOT NULL,
    given_by    text        NOT NULL,
    ended_at    timestamptz,
    ended_by    text        NOT NULL,
    CONSTRAINT incident_role_until_after_from CHECK (until_at > from_at)
);
CREATE INDEX incident_role_by_incident ON incident_role (incident_id);
CREATE INDEX incident_role_by_user ON incident_role (username);

CREATE TABLE second_factor (
    username           text        COLLATE "C" NOT NULL CONSTRAINT second_factor_pkey PRIMARY KEY
                                   CONSTRAINT second_factor_user_fkey REFERENCES app_user (username),
    secret             text        NOT NULL, -- sealed
    confirmed          boolean     NOT NULL,
    last_step          bigint      NOT NULL, -- of the last code taken: a code opens once
    recovery           jsonb       NOT NULL, -- hashes of the codes that are left
    changed_machine_at timestamptz NOT NULL
);

CREATE TABLE api_key (
    key_id               text        COLLATE "C" NOT NULL CONSTRAINT api_key_pkey PRIMARY KEY,
    name                 text        NOT NULL,
    secret_hash          text        NOT NULL,
    roles                jsonb       NOT NULL,
    created_by           text        NOT NULL,
    created_machine_at   timestamptz NOT NULL,
    expires_machine_at   timestamptz NOT NULL,
    scope                jsonb       NOT NULL,
    vendor               text        NOT NULL,
    unit_id              text        NOT NULL,
    revoked_machine_at   timestamptz,
    revoked_by           text        NOT NULL,
    last_used_machine_at timestamptz
);

-- What takes a second person. Decided once; proposer and decider differ.
CREATE TABLE approval (
    approval_id text        COLLATE "C" NOT NULL CONSTRAINT approval_pkey PRIMARY KEY,
    kind        text        COLLATE "C" NOT NULL,
    subject     text        COLLATE "C" NOT NULL,
    area        text        NOT NULL,
    title_zh    text        NOT NULL,
    title_en    text        NOT NULL,
    payload     jsonb       NOT NULL,
    before      jsonb       NOT NULL,
    source      text        NOT NULL,
    reason      text        NOT NULL,
    state       text        NOT NULL CONSTRAINT approval_state_known CHECK (state IN (
                    'PENDING', 'EXECUTED', 'REJECTED', 'WITHDRAWN', 'EXPIRED')),
    proposed_by text        NOT NULL,
    proposed_at timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL, -- machine time: it waits for a person
    asked       text        NOT NULL,
    emergency   boolean     NOT NULL,
    until_at    timestamptz,
    decided_by  text        NOT NULL,
    decided_at  timestamptz,
    comment     text        NOT NULL,
    result      jsonb       NOT NULL,
    rev         bigint      NOT NULL,
    CONSTRAINT approval_two_persons CHECK (state NOT IN ('EXECUTED', 'REJECTED') OR decided_by <> proposed_by)
);
CREATE UNIQUE INDEX approval_one_open_per_subject ON approval (kind, subject) WHERE state = 'PENDING';
