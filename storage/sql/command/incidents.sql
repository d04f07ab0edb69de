-- read_incident: One incident with its tasks counted and its alarms named.
SELECT i.*,
       (SELECT coalesce(jsonb_object_agg(c.state, c.tasks), '{}') FROM
           (SELECT state, count(*) AS tasks FROM task WHERE incident_id = i.incident_id GROUP BY state) c) AS task_counts,
       (SELECT coalesce(jsonb_agg(a.alarm_id ORDER BY a.raised_at, a.alarm_id), '[]') FROM alarm a
         WHERE a.incident_id = i.incident_id) AS alarm_ids
  FROM incident i WHERE i.incident_id = %(incident_id)s;

-- list_incidents: Newest first, in the states asked for (none = all).
SELECT i.*,
       (SELECT coalesce(jsonb_object_agg(c.state, c.tasks), '{}') FROM
           (SELECT state, count(*) AS tasks FROM task WHERE incident_id = i.incident_id GROUP BY state) c) AS task_counts,
       (SELECT coalesce(jsonb_agg(a.alarm_id ORDER BY a.raised_at, a.alarm_id), '[]') FROM alarm a
         WHERE a.incident_id = i.incident_id) AS alarm_ids
  FROM incident i
 WHERE (cardinality(%(states)s::text[]) = 0 OR i.state = ANY(%(states)s))
   AND (%(before)s = '' OR i.incident_id < %(before)s)
   AND (cardinality(%(areas)s::text[]) = 0 OR EXISTS (SELECT 1 FROM unnest(%(areas)s::text[]) a WHERE starts_with(i.area, a)) OR i.incident_id = ANY(%(also)s))
   AND (cardinality(%(hazards)s::text[]) = 0 OR i.kind = ANY(%(hazards)s) OR i.incident_id = ANY(%(also)s))
 ORDER BY i.incident_id DESC LIMIT %(limit)s;

-- open_incident: The open incident of a kind and place. No row: an alarm opens one.
SELECT incident_id FROM incident WHERE group_key = %(group_key)s AND state = ANY(%(states)s)
 ORDER BY incident_id DESC LIMIT 1;

-- insert_incident: A new incident.
INSERT INTO incident (incident_id, group_key, kind, title_zh, title_en, state, state_zh, lon, lat, area, colour, opened_at,
                      changed_at, rev, plan_id, plan_version)
VALUES (%(incident_id)s, %(group_key)s, %(kind)s, %(title_zh)s, %(title_en)s, %(state)s, %(state_zh)s, %(lon)s, %(lat)s,
        %(area)s, %(colour)s, %(opened_at)s, %(changed_at)s, %(rev)s, %(plan_id)s, %(plan_version)s);

-- update_incident: From one of these states and this revision only. No row: somebody was faster.
UPDATE incident SET title_zh = %(title_zh)s, title_en = %(title_en)s, state = %(state)s, state_zh = %(state_zh)s,
       colour = %(colour)s, changed_at = %(changed_at)s, rev = %(rev)s
 WHERE incident_id = %(incident_id)s AND rev = %(old_rev)s AND state = ANY(%(states)s) RETURNING incident_id;

-- add_timeline: One entry more.
INSERT INTO incident_timeline (incident_id, at, actor, kind, text_zh, text_en, ref)
VALUES (%(incident_id)s, %(at)s, %(actor)s, %(kind)s, %(text_zh)s, %(text_en)s, %(ref)s);

-- last_timeline: The last entries, newest first.
SELECT at, actor, kind, text_zh, text_en, ref FROM incident_timeline
 WHERE incident_id = %(incident_id)s ORDER BY entry DESC LIMIT %(limit)s;
