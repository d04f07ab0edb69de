-- Access: where tasks and closures lie (permission asks), roles in an incident, second factors, keys of machines, approvals.
ALTER TABLE task ADD COLUMN area text NOT NULL DEFAULT '';
ALTER TABLE task ADD COLUMN hazard text NOT NULL DEFAULT '';
UPDATE task SET area = incident.area, hazard = incident.kind FROM incident WHERE incident.incident_id = task.incident_id;
ALTER TABLE closure ADD COLUMN area text NOT NULL DEFAULT '';
ALTER TABLE app_user ADD COLUMN last_login_machine_at timestamptz;
ALTER TABLE app_user ADD COLUMN password_machine_at timestamptz; -- null: from before this was kept

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
