-- read_alarm: One alarm with its operator's side.
SELECT condition, side FROM alarm WHERE alarm_id = %(alarm_id)s;

-- list_alarms: Newest first, below the last one seen.
SELECT condition, side FROM alarm
 WHERE (firing OR NOT %(firing_only)s)
   AND (%(before_at)s::timestamptz IS NULL OR (raised_at, alarm_id) < (%(before_at)s::timestamptz, %(before_id)s))
   AND (cardinality(%(areas)s::text[]) = 0 OR EXISTS (SELECT 1 FROM unnest(%(areas)s::text[]) a WHERE starts_with(condition->'last'->>'area', a)))
   AND (cardinality(%(hazards)s::text[]) = 0 OR condition->'last'->>'hazard' = ANY(%(hazards)s))
 ORDER BY raised_at DESC, alarm_id DESC LIMIT %(limit)s;

-- alarms_of_incident: Those linked to an incident, oldest first.
SELECT condition, side FROM alarm WHERE incident_id = %(incident_id)s ORDER BY raised_at, alarm_id;

-- put_condition: The condition after a transition; never back to an older one.
INSERT INTO alarm (alarm_id, firing, raised_at, n, condition, side_rev, side)
VALUES (%(alarm_id)s, %(firing)s, %(raised_at)s, %(n)s, %(condition)s, 0, %(side)s)
ON CONFLICT (alarm_id) DO UPDATE SET firing = EXCLUDED.firing, n = EXCLUDED.n, condition = EXCLUDED.condition
 WHERE alarm.n < EXCLUDED.n;

-- put_side: What people did about an alarm, or what follows from it.
UPDATE alarm SET side = %(side)s, side_rev = %(rev)s, incident_id = %(incident_id)s
 WHERE alarm_id = %(alarm_id)s AND side_rev <= %(rev)s RETURNING alarm_id;

-- add_transition: A transition, once. No row: it stands already.
INSERT INTO alarm_transition (alarm_id, n, kind, at, input_position, ordinal, document)
VALUES (%(alarm_id)s, %(n)s, %(kind)s, %(at)s, %(input_position)s, %(ordinal)s, %(document)s)
ON CONFLICT DO NOTHING RETURNING n;

-- list_transitions: An alarm's history, oldest first.
SELECT document FROM alarm_transition WHERE alarm_id = %(alarm_id)s ORDER BY n;
