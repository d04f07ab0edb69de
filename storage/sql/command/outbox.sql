-- put_message: Queue a message. No row: its key was queued before.
INSERT INTO outbox (message_id, key, kind, entity, entity_id, recipient, text, state, attempts, at, next_at, changed_at, sink, error)
VALUES (%(message_id)s, %(key)s, %(kind)s, %(entity)s, %(entity_id)s, %(recipient)s, %(text)s, %(state)s, %(attempts)s, %(at)s,
        %(next_at)s, %(changed_at)s, %(sink)s, %(error)s)
ON CONFLICT ON CONSTRAINT outbox_once DO NOTHING RETURNING message_id;

-- read_message: One message.
SELECT * FROM outbox WHERE message_id = %(message_id)s;

-- due_messages: What waits and may be tried now, first due first.
SELECT * FROM outbox WHERE state = 'QUEUED' AND next_at <= %(now)s ORDER BY next_at, message_id LIMIT %(limit)s;

-- move_message: After an attempt. No row: another sender was here.
UPDATE outbox SET state = %(state)s, attempts = %(attempts)s, next_at = %(next_at)s, changed_at = %(changed_at)s, sink = %(sink)s,
       error = %(error)s
 WHERE message_id = %(message_id)s AND state = %(before)s AND attempts = %(known_attempts)s RETURNING message_id;

-- keep_kind: What this schema belongs to, written once.
INSERT INTO tenant_kind (kind) VALUES (%(kind)s) ON CONFLICT DO NOTHING;

-- read_kind: What this schema belongs to. No row: nobody has said yet.
SELECT kind FROM tenant_kind;
