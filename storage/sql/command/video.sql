-- insert_video_clip: A clip that an incident asked for.
INSERT INTO video_clip (clip_id, incident_id, device_id, area, from_at, to_at, reason, state, state_zh, asked_by, asked_at, until_at, tries,
                        refusals, next_at, ended_at, size, sha256, error, changed_at, rev)
VALUES (%(clip_id)s, %(incident_id)s, %(device_id)s, %(area)s, %(from_at)s, %(to_at)s, %(reason)s, %(state)s, %(state_zh)s, %(asked_by)s,
        %(asked_at)s, %(until_at)s, %(tries)s, %(refusals)s, %(next_at)s, %(ended_at)s, %(size)s, %(sha256)s, %(error)s, %(changed_at)s,
        %(rev)s);

-- update_video_clip: What became of it. No row: somebody was faster, reload.
UPDATE video_clip SET state = %(state)s, state_zh = %(state_zh)s, tries = %(tries)s, refusals = %(refusals)s, next_at = %(next_at)s,
       ended_at = %(ended_at)s, size = %(size)s, sha256 = %(sha256)s, error = %(error)s, changed_at = %(changed_at)s, rev = %(rev)s
 WHERE clip_id = %(clip_id)s AND rev = %(known_rev)s AND state = ANY(%(states)s) RETURNING clip_id;

-- read_video_clip: One clip. No row: unknown.
SELECT * FROM video_clip WHERE clip_id = %(clip_id)s;

-- list_video_clips: Clips of an incident by descending id, below a cursor; in some states, where given.
SELECT * FROM video_clip
 WHERE incident_id = %(incident_id)s AND (%(before)s = '' OR clip_id < %(before)s)
   AND (cardinality(%(states)s::text[]) = 0 OR state = ANY(%(states)s))
 ORDER BY clip_id DESC LIMIT %(limit)s;

-- clips_to_fetch: What is to be fetched now, what was asked for first comes first.
SELECT * FROM video_clip WHERE state = 'REQUESTED' AND next_at <= %(machine)s ORDER BY clip_id LIMIT %(limit)s;

-- clips_in_hand: What was being fetched when nobody came back to say how it went.
SELECT * FROM video_clip WHERE state = 'FETCHING' ORDER BY clip_id;
