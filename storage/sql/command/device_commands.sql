-- insert_device_command: A command that was asked for.
INSERT INTO device_command (command_id, device_id, vendor, area, method, params, reason, state, state_zh, asked_by, asked_at, expires_at,
                            sends, next_at, sent_at, received_at, ended_at, result, error, note, changed_at, rev)
VALUES (%(command_id)s, %(device_id)s, %(vendor)s, %(area)s, %(method)s, %(params)s, %(reason)s, %(state)s, %(state_zh)s, %(asked_by)s,
        %(asked_at)s, %(expires_at)s, %(sends)s, %(next_at)s, %(sent_at)s, %(received_at)s, %(ended_at)s, %(result)s, %(error)s,
        %(note)s, %(changed_at)s, %(rev)s);

-- update_device_command: What became of it. No row: somebody was faster, reload.
UPDATE device_command SET state = %(state)s, state_zh = %(state_zh)s, sends = %(sends)s, next_at = %(next_at)s, sent_at = %(sent_at)s,
       received_at = %(received_at)s, ended_at = %(ended_at)s, result = %(result)s, error = %(error)s, note = %(note)s,
       changed_at = %(changed_at)s, rev = %(rev)s
 WHERE command_id = %(command_id)s AND rev = %(known_rev)s AND state = ANY(%(states)s) RETURNING command_id;

-- read_device_command: One command. No row: unknown.
SELECT * FROM device_command WHERE command_id = %(command_id)s;

-- list_device_commands: Commands of a device by descending id, below a cursor; in some states, where given.
SELECT * FROM device_command
 WHERE device_id = %(device_id)s AND (%(before)s = '' OR command_id < %(before)s)
   AND (cardinality(%(states)s::text[]) = 0 OR state = ANY(%(states)s))
 ORDER BY command_id DESC LIMIT %(limit)s;

-- devices_to_command: Devices that have something to be sent now.
SELECT DISTINCT device_id FROM device_command
 WHERE state IN ('QUEUED', 'SENT') AND next_at <= %(machine)s AND expires_at > %(city)s ORDER BY device_id;

-- commands_to_send: What is to be sent (again) to these devices now, oldest first.
SELECT * FROM device_command
 WHERE state IN ('QUEUED', 'SENT') AND next_at <= %(machine)s AND expires_at > %(city)s AND device_id = ANY(%(device_ids)s)
 ORDER BY command_id LIMIT %(limit)s;
