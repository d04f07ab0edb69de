-- begin_reading: All statements of this transaction see one state, and none of them writes.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- lock_writes: One write transaction of the command side at a time, in whatever process; held until it ends.
SELECT pg_advisory_xact_lock(hashtextextended('citybrain.command.' || current_schema(), 0));

-- read_cursor: How far a consumer has taken the log over.
SELECT position FROM log_cursor WHERE name = %(name)s;

-- set_cursor: In the same transaction as what the records did.
INSERT INTO log_cursor (name, position, at) VALUES (%(name)s, %(position)s, %(at)s)
ON CONFLICT (name) DO UPDATE SET position = EXCLUDED.position, at = EXCLUDED.at;

-- next_number: Count up within a scope.
INSERT INTO counter (scope, value) VALUES (%(scope)s, 1)
ON CONFLICT (scope) DO UPDATE SET value = counter.value + 1 RETURNING value;

-- read_key: What an idempotency key came with before. No row: it is new.
SELECT fingerprint FROM idempotency_key WHERE actor = %(actor)s AND key = %(key)s;

-- keep_key: Remember an idempotency key.
INSERT INTO idempotency_key (actor, key, fingerprint, seen_at) VALUES (%(actor)s, %(key)s, %(fingerprint)s, %(at)s)
ON CONFLICT DO NOTHING;

-- put_timer: Set or set anew.
INSERT INTO timer (timer_id, kind, entity_id, clock, due_at, data)
VALUES (%(timer_id)s, %(kind)s, %(entity_id)s, %(clock)s, %(due_at)s, %(data)s)
ON CONFLICT (timer_id) DO UPDATE SET kind = EXCLUDED.kind, entity_id = EXCLUDED.entity_id, clock = EXCLUDED.clock,
       due_at = EXCLUDED.due_at, data = EXCLUDED.data;

-- drop_timer: It is no longer waited for.
DELETE FROM timer WHERE timer_id = %(timer_id)s;

-- read_timer: One timer.
SELECT * FROM timer WHERE timer_id = %(timer_id)s;

-- due_timers: What is due on either clock, first due first.
SELECT * FROM timer
 WHERE (clock = 'machine' AND due_at <= %(machine_at)s) OR (clock = 'city' AND due_at <= %(city_at)s)
 ORDER BY due_at, timer_id LIMIT %(limit)s;

-- add_live: A numbered event for screens.
INSERT INTO live_event (channel, at, kind, id, rev, data)
VALUES (%(channel)s, %(at)s, %(kind)s, %(id)s, %(rev)s, %(data)s) RETURNING seq;

-- live_since: What a viewer missed.
SELECT * FROM live_event WHERE channel = %(channel)s AND seq > %(seq)s ORDER BY seq LIMIT %(limit)s;

-- live_head: The last number given, also when the event itself was dropped.
SELECT coalesce((SELECT max(seq) FROM live_event), pg_sequence_last_value(pg_get_serial_sequence('live_event', 'seq')), 0) AS seq;

-- drop_live: Events that no viewer asks for any more.
DELETE FROM live_event WHERE at < %(before)s;

-- drop_keys: Idempotency keys that no phone sends again.
DELETE FROM idempotency_key WHERE seen_at < %(before)s;

-- read_user: One user.
SELECT * FROM app_user WHERE username = %(username)s;

-- list_users: All, by name.
SELECT * FROM app_user ORDER BY username;

-- put_user: A new user or a changed one.
INSERT INTO app_user (username, document, password_hash, failures, locked_until_machine_at, changed_machine_at,
                      password_machine_at)
VALUES (%(username)s, %(document)s, %(password_hash)s, %(failures)s, %(locked_until_machine_at)s, %(changed_machine_at)s,
        %(password_machine_at)s)
ON CONFLICT (username) DO UPDATE SET document = EXCLUDED.document, password_hash = EXCLUDED.password_hash,
       failures = EXCLUDED.failures, locked_until_machine_at = EXCLUDED.locked_until_machine_at,
       changed_machine_at = EXCLUDED.changed_machine_at, password_machine_at = EXCLUDED.password_machine_at;
