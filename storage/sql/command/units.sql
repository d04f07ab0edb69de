-- read_unit: One unit.
SELECT * FROM unit WHERE unit_id = %(unit_id)s;

-- list_units: All, by id.
SELECT * FROM unit ORDER BY unit_id;

-- insert_unit: A new unit. No row: it is registered already.
INSERT INTO unit (unit_id, name, kind, authority, capabilities, status, idle_status, lon, lat, heading, speed_ms, fix_at,
                  task_id, wading_depth_m, area, phone, rev)
VALUES (%(unit_id)s, %(name)s, %(kind)s, %(authority)s, %(capabilities)s, %(status)s, %(idle_status)s, %(lon)s, %(lat)s,
        %(heading)s, %(speed_ms)s, %(fix_at)s, %(task_id)s, %(wading_depth_m)s, %(area)s, %(phone)s, %(rev)s)
ON CONFLICT DO NOTHING RETURNING unit_id;

-- update_unit: From one of these statuses and this revision only. No row: somebody was faster.
UPDATE unit SET name = %(name)s, kind = %(kind)s, authority = %(authority)s, capabilities = %(capabilities)s,
       status = %(status)s, idle_status = %(idle_status)s, lon = %(lon)s, lat = %(lat)s, heading = %(heading)s,
       speed_ms = %(speed_ms)s, fix_at = %(fix_at)s, task_id = %(task_id)s, wading_depth_m = %(wading_depth_m)s,
       area = %(area)s, phone = %(phone)s, rev = %(rev)s
 WHERE unit_id = %(unit_id)s AND rev = %(old_rev)s AND status = ANY(%(statuses)s) RETURNING unit_id;

-- add_unit_fix: One point of a unit's track; the same point twice is once.
INSERT INTO unit_fix (unit_id, at, lon, lat, heading, speed_ms)
VALUES (%(unit_id)s, %(at)s, %(lon)s, %(lat)s, %(heading)s, %(speed_ms)s) ON CONFLICT DO NOTHING;

-- list_closures: Open ones, or all.
SELECT * FROM closure WHERE ended_at IS NULL OR NOT %(open_only)s ORDER BY closure_id;

-- read_closure: One closure that has not ended.
SELECT * FROM closure WHERE closure_id = %(closure_id)s AND ended_at IS NULL;

-- open_closure_of: The open closure that a source has made.
SELECT * FROM closure WHERE source = %(source)s AND ended_at IS NULL;

-- put_closure: A new closure, or its newer depth and reason.
INSERT INTO closure (closure_id, source, edges, reason, lon, lat, depth_m, since_at, expires_at, author, evidence, area)
VALUES (%(closure_id)s, %(source)s, %(edges)s, %(reason)s, %(lon)s, %(lat)s, %(depth_m)s, %(since_at)s, %(expires_at)s,
        %(author)s, %(evidence)s, %(area)s)
ON CONFLICT (closure_id) DO UPDATE SET reason = EXCLUDED.reason, depth_m = EXCLUDED.depth_m, evidence = EXCLUDED.evidence;

-- end_closure: The road is open again. No row: it was already.
UPDATE closure SET ended_at = %(at)s, ended_by = %(by)s
 WHERE closure_id = %(closure_id)s AND ended_at IS NULL RETURNING closure_id;
