-- read_task: One task.
SELECT * FROM task WHERE task_id = %(task_id)s;

-- list_tasks: By incident, unit and states; empty = all.
SELECT * FROM task
 WHERE (%(incident_id)s = '' OR incident_id = %(incident_id)s)
   AND (%(unit_id)s = '' OR unit_id = %(unit_id)s)
   AND (cardinality(%(states)s::text[]) = 0 OR state = ANY(%(states)s))
   AND (cardinality(%(areas)s::text[]) = 0 OR EXISTS (SELECT 1 FROM unnest(%(areas)s::text[]) a WHERE starts_with(area, a)) OR incident_id = ANY(%(also)s))
   AND (cardinality(%(hazards)s::text[]) = 0 OR hazard = ANY(%(hazards)s) OR incident_id = ANY(%(also)s))
 ORDER BY task_id LIMIT %(limit)s;

-- insert_task: A draft, once per origin. No row: it was drafted already.
INSERT INTO task (task_id, incident_id, origin, pre_authorised, refused_units, title_zh, title_en, detail_zh, detail_en,
                  capability, state, state_zh, unit_id, unit_name, unit_authority, lon, lat, place, due_at, issued_at,
                  changed_at, rev, eta_s, area, hazard)
VALUES (%(task_id)s, %(incident_id)s, %(origin)s, %(pre_authorised)s, %(refused_units)s, %(title_zh)s, %(title_en)s,
        %(detail_zh)s, %(detail_en)s, %(capability)s, %(state)s, %(state_zh)s, %(unit_id)s, %(unit_name)s,
        %(unit_authority)s, %(lon)s, %(lat)s, %(place)s, %(due_at)s, %(issued_at)s, %(changed_at)s, %(rev)s, %(eta_s)s,
        %(area)s, %(hazard)s)
ON CONFLICT DO NOTHING RETURNING task_id;

-- update_task: From one of these states and this revision only. No row: somebody was faster.
UPDATE task SET refused_units = %(refused_units)s, state = %(state)s, state_zh = %(state_zh)s, unit_id = %(unit_id)s,
       unit_name = %(unit_name)s, unit_authority = %(unit_authority)s, due_at = %(due_at)s, issued_at = %(issued_at)s,
       changed_at = %(changed_at)s, rev = %(rev)s, eta_s = %(eta_s)s
 WHERE task_id = %(task_id)s AND rev = %(old_rev)s AND state = ANY(%(states)s) RETURNING task_id;

-- add_task_history: One step of a task, with the phone's own time where it gave one.
INSERT INTO task_history (task_id, at, source, target, actor, comment, device_at)
VALUES (%(task_id)s, %(at)s, %(source)s, %(target)s, %(actor)s, %(comment)s, %(device_at)s);

-- histories_of: The steps of some tasks, in order.
SELECT task_id, at, source, target, actor, comment FROM task_history
 WHERE task_id = ANY(%(task_ids)s) ORDER BY entry;

-- insert_request: A request to another agency.
INSERT INTO agency_request (request_id, task_id, incident_id, unit_id, kind, state, asked_at, changed_at, asked_by, signed_by,
                            comment, rev)
VALUES (%(request_id)s, %(task_id)s, %(incident_id)s, %(unit_id)s, %(kind)s, %(state)s, %(asked_at)s, %(changed_at)s,
        %(asked_by)s, %(signed_by)s, %(comment)s, %(rev)s);

-- read_request: One request.
SELECT * FROM agency_request WHERE request_id = %(request_id)s;

-- list_requests: Of one incident, or all.
SELECT * FROM agency_request WHERE %(incident_id)s = '' OR incident_id = %(incident_id)s ORDER BY request_id;

-- update_request: From this revision only. No row: somebody was faster.
UPDATE agency_request SET state = %(state)s, changed_at = %(changed_at)s, signed_by = %(signed_by)s, comment = %(comment)s,
       rev = %(rev)s
 WHERE request_id = %(request_id)s AND rev = %(old_rev)s RETURNING request_id;
