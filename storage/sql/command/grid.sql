-- read_report: One report.
SELECT * FROM grid_report WHERE report_id = %(report_id)s;

-- report_of_client: What this client sent before.
SELECT * FROM grid_report WHERE reported_by = %(reported_by)s AND client_id = %(client_id)s;

-- list_reports: Newest number first.
SELECT * FROM grid_report
 WHERE (cardinality(%(states)s::text[]) = 0 OR state = ANY(%(states)s)) AND (%(reported_by)s = '' OR reported_by = %(reported_by)s)
   AND (cardinality(%(areas)s::text[]) = 0 OR EXISTS (SELECT 1 FROM unnest(%(areas)s::text[]) AS a (code) WHERE starts_with(area, a.code)))
   AND (%(before)s = '' OR report_id < %(before)s)
 ORDER BY report_id DESC LIMIT %(limit)s;

-- insert_report: A new one.
INSERT INTO grid_report (report_id, client_id, kind, kind_zh, urgent, text, lon, lat, address, area, reported_by, reported_at, state,
                         state_zh, joined_to, witnesses, receipts, closed_comment, changed_at, rev)
VALUES (%(report_id)s, %(client_id)s, %(kind)s, %(kind_zh)s, %(urgent)s, %(text)s, %(lon)s, %(lat)s, %(address)s, %(area)s,
        %(reported_by)s, %(reported_at)s, %(state)s, %(state_zh)s, %(joined_to)s, %(witnesses)s, %(receipts)s,
        %(closed_comment)s, %(changed_at)s, %(rev)s);

-- update_report: From this revision and state only. No row: somebody was faster.
UPDATE grid_report SET state = %(state)s, state_zh = %(state_zh)s, joined_to = %(joined_to)s, witnesses = %(witnesses)s,
       receipts = %(receipts)s, closed_comment = %(closed_comment)s, changed_at = %(changed_at)s, rev = %(rev)s
 WHERE report_id = %(report_id)s AND rev = %(old_rev)s AND state = ANY(%(states)s) RETURNING report_id;

-- insert_visit: A new one; it never changes.
INSERT INTO grid_visit (visit_id, client_id, subject, area, visited_by, visited_at, lon, lat, distance_m, organisations, answers, findings)
VALUES (%(visit_id)s, %(client_id)s, %(subject)s, %(area)s, %(visited_by)s, %(visited_at)s, %(lon)s, %(lat)s, %(distance_m)s,
        %(organisations)s, %(answers)s, %(findings)s);

-- visit_of_client: What this client sent before.
SELECT * FROM grid_visit WHERE visited_by = %(visited_by)s AND client_id = %(client_id)s;

-- last_visits: When each object was visited last.
SELECT subject, max(visited_at) AS at FROM grid_visit WHERE subject = ANY(%(subjects)s) GROUP BY subject;

-- list_visits: Of one object, newest first.
SELECT * FROM grid_visit WHERE subject = %(subject)s ORDER BY visited_at DESC, visit_id DESC LIMIT %(limit)s;
