-- list_duty_posts: In calling order.
SELECT * FROM duty_post ORDER BY step;

-- drop_duty_posts: Before the new list is written.
DELETE FROM duty_post;

-- insert_duty_post: One of the new list.
INSERT INTO duty_post (post, zh, en, step, required, hand_over, hazards)
VALUES (%(post)s, %(zh)s, %(en)s, %(step)s, %(required)s, %(hand_over)s, %(hazards)s);

-- read_shift: One shift.
SELECT * FROM duty_shift WHERE shift_id = %(shift_id)s;

-- list_shifts: What touches this time, by start.
SELECT * FROM duty_shift WHERE to_at > %(from_at)s AND from_at < %(to_at)s ORDER BY from_at, shift_id;

-- insert_shift: No row: the id is taken.
INSERT INTO duty_shift (shift_id, post, username, name, phone, phone_mask, area, from_at, to_at, rev)
VALUES (%(shift_id)s, %(post)s, %(username)s, %(name)s, %(phone)s, %(phone_mask)s, %(area)s, %(from_at)s, %(to_at)s, %(rev)s)
ON CONFLICT DO NOTHING RETURNING shift_id;

-- update_shift: From this revision only. No row: somebody was faster.
UPDATE duty_shift SET post = %(post)s, username = %(username)s, name = %(name)s, phone = %(phone)s,
       phone_mask = %(phone_mask)s, area = %(area)s, from_at = %(from_at)s, to_at = %(to_at)s, rev = %(rev)s
 WHERE shift_id = %(shift_id)s AND rev = %(old_rev)s RETURNING shift_id;

-- delete_shift: From this revision only.
DELETE FROM duty_shift WHERE shift_id = %(shift_id)s AND rev = %(old_rev)s RETURNING shift_id;

-- next_shift_change: The first start or end after this time.
SELECT least((SELECT min(from_at) FROM duty_shift WHERE from_at > %(after)s),
             (SELECT min(to_at) FROM duty_shift WHERE to_at > %(after)s)) AS at;

-- insert_absence: Leave.
INSERT INTO duty_absence (absence_id, username, from_at, to_at, reason)
VALUES (%(absence_id)s, %(username)s, %(from_at)s, %(to_at)s, %(reason)s);

-- list_absences: What touches this time.
SELECT * FROM duty_absence WHERE to_at > %(from_at)s AND from_at < %(to_at)s ORDER BY from_at, absence_id;

-- delete_absence: He is back, or it was a mistake.
DELETE FROM duty_absence WHERE absence_id = %(absence_id)s RETURNING *;

-- read_handover: One hand-over.
SELECT * FROM duty_handover WHERE handover_id = %(handover_id)s;

-- list_handovers: Newest first.
SELECT * FROM duty_handover WHERE %(before)s = '' OR handover_id < %(before)s ORDER BY handover_id DESC LIMIT %(limit)s;

-- handovers_of_shift: What was written about one shift.
SELECT * FROM duty_handover WHERE shift_id = %(shift_id)s AND shift_id <> '' ORDER BY handover_id;

-- insert_handover: A draft with its snapshot.
INSERT INTO duty_handover (handover_id, post, area, shift_id, from_user, to_user, substitute_reason, state, state_zh, remarks,
                           summary, open_items, signatures, created_at, changed_at, rev)
VALUES (%(handover_id)s, %(post)s, %(area)s, %(shift_id)s, %(from_user)s, %(to_user)s, %(substitute_reason)s, %(state)s,
        %(state_zh)s, %(remarks)s, %(summary)s, %(open_items)s, %(signatures)s, %(created_at)s, %(changed_at)s, %(rev)s);

-- update_handover: From one of these states and this revision only; the snapshot is not among the columns.
UPDATE duty_handover SET to_user = %(to_user)s, substitute_reason = %(substitute_reason)s, state = %(state)s,
       state_zh = %(state_zh)s, remarks = %(remarks)s, signatures = %(signatures)s, changed_at = %(changed_at)s, rev = %(rev)s
 WHERE handover_id = %(handover_id)s AND rev = %(old_rev)s AND state = ANY(%(states)s) RETURNING handover_id;

-- add_log_entry: Append-only.
INSERT INTO duty_log (entry_id, at, actor, kind, kind_zh, text, area, alarm_id, incident_id, instruction_id, corrects, auto)
VALUES (%(entry_id)s, %(at)s, %(actor)s, %(kind)s, %(kind_zh)s, %(text)s, %(area)s, %(alarm_id)s, %(incident_id)s,
        %(instruction_id)s, %(corrects)s, %(auto)s);

-- read_log_entry: One entry.
SELECT * FROM duty_log WHERE entry_id = %(entry_id)s;

-- list_log_entries: Newest first; ids sort by day and number.
SELECT * FROM duty_log
 WHERE (%(day)s = '' OR entry_id LIKE 'L-' || %(day)s || '-%%') AND (%(before)s = '' OR entry_id < %(before)s)
 ORDER BY entry_id DESC LIMIT %(limit)s;

-- read_instruction: One instruction.
SELECT * FROM instruction WHERE instruction_id = %(instruction_id)s;

-- list_instructions: Newest first; about one object where it is named.
SELECT * FROM instruction
 WHERE (open OR NOT %(open_only)s) AND (%(before)s = '' OR instruction_id < %(before)s)
   AND (%(subject)s = '' OR subject = %(subject)s)
 ORDER BY instruction_id DESC LIMIT %(limit)s;

-- addressees_of: Of some instructions, in order.
SELECT * FROM instruction_addressee WHERE instruction_id = ANY(%(ids)s) ORDER BY instruction_id, n;

-- instruction_events: The whole timeline, oldest first.
SELECT at, actor, kind, text_zh, text_en, n FROM instruction_timeline WHERE instruction_id = %(instruction_id)s ORDER BY entry;

-- insert_instruction: A new one; its addressees follow.
INSERT INTO instruction (instruction_id, text, urgency, urgency_zh, issued_by, issued_at, due_at, incident_id, area, state,
                         state_zh, open, changed_at, rev, subject)
VALUES (%(instruction_id)s, %(text)s, %(urgency)s, %(urgency_zh)s, %(issued_by)s, %(issued_at)s, %(due_at)s, %(incident_id)s,
        %(area)s, %(state)s, %(state_zh)s, %(open)s, %(changed_at)s, %(rev)s, %(subject)s);

-- insert_addressee: One who must answer.
INSERT INTO instruction_addressee (instruction_id, n, kind, id, name, state, state_zh, report, overdue, received_at, reported_at,
                                   changed_at)
VALUES (%(instruction_id)s, %(n)s, %(kind)s, %(id)s, %(name)s, %(state)s, %(state_zh)s, %(report)s, %(overdue)s,
        %(received_at)s, %(reported_at)s, %(changed_at)s);

-- update_instruction: From this revision only. No row: somebody was faster.
UPDATE instruction SET state = %(state)s, state_zh = %(state_zh)s, open = %(open)s, changed_at = %(changed_at)s, rev = %(rev)s
 WHERE instruction_id = %(instruction_id)s AND rev = %(old_rev)s RETURNING instruction_id;

-- update_addressee: From one of these states only.
UPDATE instruction_addressee SET state = %(state)s, state_zh = %(state_zh)s, report = %(report)s, overdue = %(overdue)s,
       received_at = %(received_at)s, reported_at = %(reported_at)s, changed_at = %(changed_at)s
 WHERE instruction_id = %(instruction_id)s AND n = %(n)s AND state = ANY(%(states)s) RETURNING n;

-- add_instruction_event: Append-only.
INSERT INTO instruction_timeline (instruction_id, at, actor, kind, text_zh, text_en, n)
VALUES (%(instruction_id)s, %(at)s, %(actor)s, %(kind)s, %(text_zh)s, %(text_en)s, %(n)s);
