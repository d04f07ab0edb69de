-- add_calibration: A calibration, for good.
INSERT INTO device_calibration (calibration_id, device_id, calibrated_at, calibrated_by, certificate, due_at, offsets, comment,
                                recorded_by, recorded_at)
VALUES (%(calibration_id)s, %(device_id)s, %(calibrated_at)s, %(calibrated_by)s, %(certificate)s, %(due_at)s, %(offsets)s,
        %(comment)s, %(recorded_by)s, %(recorded_at)s);

-- list_calibrations: Calibrations of a device, newest first.
SELECT * FROM device_calibration WHERE device_id = %(device_id)s
 ORDER BY calibrated_at DESC, calibration_id DESC LIMIT %(limit)s;

-- calibrations_due: The newest calibration of each device whose next one is due by then, the most overdue first.
SELECT * FROM (
    SELECT DISTINCT ON (device_id) * FROM device_calibration ORDER BY device_id, calibrated_at DESC, calibration_id DESC
) newest WHERE due_at <= %(before)s ORDER BY due_at, device_id;

-- insert_ticket: A new ticket. No row: the device's silence has an open one already.
INSERT INTO device_ticket (ticket_id, device_id, vendor, area, origin, title, detail, state, state_zh, assignee, reported_by,
                           opened_by, opened_at, due_at, changed_at, rev)
VALUES (%(ticket_id)s, %(device_id)s, %(vendor)s, %(area)s, %(origin)s, %(title)s, %(detail)s, %(state)s, %(state_zh)s,
        %(assignee)s, %(reported_by)s, %(opened_by)s, %(opened_at)s, %(due_at)s, %(changed_at)s, %(rev)s)
ON CONFLICT DO NOTHING RETURNING ticket_id;

-- update_ticket: A ticket's next state. No row: somebody was faster, reload.
UPDATE device_ticket SET state = %(state)s, state_zh = %(state_zh)s, assignee = %(assignee)s, reported_by = %(reported_by)s,
       changed_at = %(changed_at)s, rev = %(rev)s
 WHERE ticket_id = %(ticket_id)s AND rev = %(known_rev)s AND state = ANY(%(states)s) RETURNING ticket_id;

-- read_ticket: One ticket. No row: unknown.
SELECT * FROM device_ticket WHERE ticket_id = %(ticket_id)s;

-- list_tickets: Tickets by descending id, below a cursor; of one device and in some states, where given.
SELECT * FROM device_ticket
 WHERE (%(device_id)s = '' OR device_id = %(device_id)s) AND (%(before)s = '' OR ticket_id < %(before)s)
   AND (cardinality(%(states)s::text[]) = 0 OR state = ANY(%(states)s))
 ORDER BY ticket_id DESC LIMIT %(limit)s;

-- add_ticket_step: A step of a ticket.
INSERT INTO device_ticket_step (ticket_id, at, source, target, actor, comment)
VALUES (%(ticket_id)s, %(at)s, %(source)s, %(target)s, %(actor)s, %(comment)s);

-- ticket_steps: Steps of some tickets, oldest first.
SELECT s.* FROM unnest(%(ticket_ids)s::text[]) AS n (ticket_id) JOIN device_ticket_step s USING (ticket_id) ORDER BY s.entry;

-- silent_tickets: Devices that somebody works on already.
SELECT DISTINCT device_id FROM device_ticket WHERE state NOT IN ('CLOSED', 'REJECTED');

-- read_acceptance: The checklist of a device as it was filled in. No row: nobody began.
SELECT * FROM device_acceptance WHERE device_id = %(device_id)s;

-- put_acceptance: The checklist, if its revision is the one that was read. No row: somebody was faster, reload.
INSERT INTO device_acceptance AS a (device_id, checklist, answers, vendor_signed_by, vendor_signed_at, city_signed_by, city_signed_at,
                                    changed_at, rev)
VALUES (%(device_id)s, %(checklist)s, %(answers)s, %(vendor_signed_by)s, %(vendor_signed_at)s, %(city_signed_by)s,
        %(city_signed_at)s, %(changed_at)s, %(rev)s)
ON CONFLICT ON CONSTRAINT device_acceptance_pkey DO UPDATE
   SET checklist = EXCLUDED.checklist, answers = EXCLUDED.answers, vendor_signed_by = EXCLUDED.vendor_signed_by,
       vendor_signed_at = EXCLUDED.vendor_signed_at, city_signed_by = EXCLUDED.city_signed_by,
       city_signed_at = EXCLUDED.city_signed_at, changed_at = EXCLUDED.changed_at, rev = EXCLUDED.rev
 WHERE a.rev = %(known_rev)s RETURNING device_id;

-- accepted_devices: Devices that both sides have signed for.
SELECT device_id FROM device_acceptance WHERE vendor_signed_by IS NOT NULL AND city_signed_by IS NOT NULL;

-- device_facts: What was received from a device so far, and how far its clock was off when it last spoke.
SELECT coalesce(sum(t.received), 0)::bigint AS received, max(t.last_receive_time) AS last_receive_at,
       (array_agg(t.clock_offset_us ORDER BY t.last_receive_time DESC) FILTER (WHERE t.clock_offset_us IS NOT NULL))[1] AS clock_offset_us
  FROM datastream s JOIN datastream_stat t USING (datastream) WHERE s.device_id = %(device_id)s;
