-- Clips of cameras that an incident asked for. States move as command_center/video/model.py says, and the database says it again;
-- what was asked never changes. `next_at` and `until_at` are machine time, the rest city time. Who looked through a camera stands in the
-- journal.
CREATE TABLE video_clip (
    clip_id     text        COLLATE "C" NOT NULL CONSTRAINT video_clip_pkey PRIMARY KEY,
    incident_id text        COLLATE "C" NOT NULL CONSTRAINT video_clip_incident_fkey REFERENCES incident (incident_id),
    device_id   text        COLLATE "C" NOT NULL CONSTRAINT video_clip_device_fkey REFERENCES device (device_id),
    area        text        NOT NULL,
    from_at     timestamptz NOT NULL,
    to_at       timestamptz NOT NULL,
    reason      text        NOT NULL,
    state       text        NOT NULL CONSTRAINT video_clip_state_known CHECK (state IN (
                    'REQUESTED', 'FETCHING', 'STORED', 'FAILED', 'EXPIRED')),
    state_zh    text        NOT NULL,
    asked_by    text        NOT NULL,
    asked_at    timestamptz NOT NULL,
    until_at    timestamptz NOT NULL,
    tries       integer     NOT NULL CONSTRAINT video_clip_tries_counted CHECK (tries >= 0),
    refusals    integer     NOT NULL CONSTRAINT video_clip_refusals_counted CHECK (refusals >= 0),
    next_at     timestamptz NOT NULL,
    ended_at    timestamptz,
    size        bigint      NOT NULL CONSTRAINT video_clip_size_counted CHECK (size >= 0),
    sha256      text        NOT NULL,
    error       text        NOT NULL,
    changed_at  timestamptz NOT NULL,
    rev         bigint      NOT NULL,
    CONSTRAINT video_clip_to_after CHECK (to_at > from_at),
    CONSTRAINT video_clip_ends_once CHECK ((ended_at IS NOT NULL) = (state IN ('STORED', 'FAILED', 'EXPIRED'))),
    CONSTRAINT video_clip_stored_whole CHECK ((sha256 ~ '^[0-9a-f]{64}$' AND size > 0) = (state = 'STORED'))
);
CREATE INDEX video_clip_by_incident ON video_clip (incident_id, clip_id);
CREATE INDEX video_clip_to_fetch ON video_clip (next_at, clip_id) WHERE state IN ('REQUESTED', 'FETCHING');

CREATE FUNCTION guard_video_clip() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.state <> NEW.state
        AND (OLD.state, NEW.state) NOT IN (('REQUESTED', 'FETCHING'), ('REQUESTED', 'EXPIRED'), ('FETCHING', 'REQUESTED'),
                                           ('FETCHING', 'STORED'), ('FETCHING', 'FAILED')))
       OR (OLD.clip_id, OLD.incident_id, OLD.device_id, OLD.area, OLD.from_at, OLD.to_at, OLD.reason, OLD.asked_by, OLD.asked_at, OLD.until_at)
          IS DISTINCT FROM
          (NEW.clip_id, NEW.incident_id, NEW.device_id, NEW.area, NEW.from_at, NEW.to_at, NEW.reason, NEW.asked_by, NEW.asked_at, NEW.until_at)
       OR (OLD.state = 'STORED' AND (OLD.size, OLD.sha256) IS DISTINCT FROM (NEW.size, NEW.sha256)) THEN
        RAISE EXCEPTION 'video_clip: % from % to % refused', OLD.clip_id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER video_clip_guarded BEFORE UPDATE ON video_clip FOR EACH ROW EXECUTE FUNCTION guard_video_clip();
CREATE TRIGGER video_clip_never_deleted BEFORE DELETE ON video_clip FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER video_clip_never_emptied BEFORE TRUNCATE ON video_clip FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
