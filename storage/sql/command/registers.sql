-- read_register_entry: One entry, personal values sealed.
SELECT * FROM register_entry WHERE kind = %(kind)s AND entry_id = %(entry_id)s;

-- read_register_entries: Those of these ids that stand.
SELECT * FROM register_entry WHERE kind = %(kind)s AND entry_id = ANY(%(entry_ids)s) ORDER BY entry_id;

-- list_register: A page by kind and id, within a scope, a box, a search, and only those not checked this season.
SELECT * FROM register_entry e
 WHERE kind = ANY(%(kinds)s) AND (kind, entry_id) > (%(after_kind)s, %(after_id)s)
   AND starts_with(area, %(area)s)
   AND (%(areas)s::text[] = '{}' OR area LIKE ANY (%(areas)s::text[]))
   AND (%(organisations)s::text[] = '{}' OR organisation IS NULL OR organisation = ANY(%(organisations)s::text[]))
   AND search LIKE ALL (%(patterns)s::text[])
   AND (%(west)s::double precision IS NULL
        OR (lon BETWEEN %(west)s AND %(east)s AND lat BETWEEN %(south)s AND %(north)s))
   AND (NOT %(unverified)s OR verified_at IS NULL OR verified_at < (
        SELECT s.since FROM unnest(%(prefixes)s::text[], %(since)s::timestamptz[]) AS s(prefix, since)
         WHERE starts_with(e.area, s.prefix) ORDER BY length(s.prefix) DESC LIMIT 1))
 ORDER BY kind, entry_id LIMIT %(limit)s;

-- count_register: How many of each kind the same question finds, without page and cursor.
SELECT kind, count(*) AS entries FROM register_entry e
 WHERE kind = ANY(%(kinds)s) AND starts_with(area, %(area)s)
   AND (%(areas)s::text[] = '{}' OR area LIKE ANY (%(areas)s::text[]))
   AND (%(organisations)s::text[] = '{}' OR organisation IS NULL OR organisation = ANY(%(organisations)s::text[]))
   AND search LIKE ALL (%(patterns)s::text[])
   AND (%(west)s::double precision IS NULL
        OR (lon BETWEEN %(west)s AND %(east)s AND lat BETWEEN %(south)s AND %(north)s))
   AND (NOT %(unverified)s OR verified_at IS NULL OR verified_at < (
        SELECT s.since FROM unnest(%(prefixes)s::text[], %(since)s::timestamptz[]) AS s(prefix, since)
         WHERE starts_with(e.area, s.prefix) ORDER BY length(s.prefix) DESC LIMIT 1))
 GROUP BY kind;

-- register_names: Ids and names of what is meant by these texts, which are ids or names.
SELECT entry_id, name FROM register_entry
 WHERE kind = %(kind)s AND (entry_id = ANY(%(texts)s) OR name = ANY(%(texts)s)) ORDER BY entry_id;

-- insert_register_entries: Many at once; what stands already is left as it is and not returned.
INSERT INTO register_entry (kind, entry_id, name, area, organisation, lon, lat, geometry, document, search, verified_at, verified_by,
                            rev, changed_at, changed_by)
SELECT r.kind, r.entry_id, r.name, r.area, r.organisation, r.lon, r.lat, r.geometry, r.document, r.search,
       r.verified_at, r.verified_by, r.rev, r.changed_at, r.changed_by
  FROM jsonb_to_recordset(%(rows)s) AS r(kind text, entry_id text, name text, area text, organisation text,
       lon double precision, lat double precision, geometry jsonb, document jsonb, search text, verified_at timestamptz,
       verified_by text, rev bigint, changed_at timestamptz, changed_by text)
ON CONFLICT DO NOTHING
RETURNING entry_id;

-- update_register_entries: Many at once, each only where it stands with the revision before.
UPDATE register_entry e
   SET name = r.name, area = r.area, organisation = r.organisation, lon = r.lon, lat = r.lat,
       geometry = r.geometry, document = r.document, search = r.search, verified_at = r.verified_at,
       verified_by = r.verified_by, rev = r.rev, changed_at = r.changed_at, changed_by = r.changed_by
  FROM jsonb_to_recordset(%(rows)s) AS r(kind text, entry_id text, name text, area text, organisation text,
       lon double precision, lat double precision, geometry jsonb, document jsonb, search text, verified_at timestamptz,
       verified_by text, rev bigint, changed_at timestamptz, changed_by text)
 WHERE e.kind = r.kind AND e.entry_id = r.entry_id AND e.rev = r.rev - 1
RETURNING e.entry_id;

-- verify_register_entry: Who checked the numbers, and when.
UPDATE register_entry SET verified_at = %(verified_at)s, verified_by = %(verified_by)s, rev = %(rev)s
 WHERE kind = %(kind)s AND entry_id = %(entry_id)s AND rev = %(rev)s - 1 RETURNING entry_id;

-- delete_register_entry: Its links go with it; a link to it refuses at the commit.
DELETE FROM register_entry WHERE kind = %(kind)s AND entry_id = %(entry_id)s AND rev = %(rev)s RETURNING entry_id;

-- drop_register_links: The links of these owners, before they get their new ones.
DELETE FROM register_link l USING unnest(%(kinds)s::text[], %(entry_ids)s::text[]) AS o(kind, entry_id)
 WHERE l.kind = o.kind AND l.entry_id = o.entry_id;

-- add_register_links: Many at once.
INSERT INTO register_link (kind, entry_id, field, target_kind, target_id)
SELECT r.kind, r.entry_id, r.field, r.target_kind, r.target_id
  FROM jsonb_to_recordset(%(rows)s) AS r(kind text, entry_id text, field text, target_kind text, target_id text)
ON CONFLICT DO NOTHING;

-- register_links_to: What points at one thing.
SELECT kind, entry_id, field, target_kind, target_id FROM register_link
 WHERE target_kind = %(target_kind)s AND target_id = ANY(%(target_ids)s)
 ORDER BY kind, entry_id, field LIMIT %(limit)s;

-- register_plants_of_sites: Plants whose detectors form one of these groups.
SELECT * FROM register_entry WHERE kind = 'plant' AND document ->> 'site' = ANY(%(sites)s) ORDER BY entry_id;

-- register_areas: Every area with its outline.
SELECT * FROM register_entry WHERE kind = 'area' ORDER BY entry_id;

-- register_stamp: Another answer whenever an entry of these kinds came, went or changed.
SELECT count(*) AS entries, coalesce(sum(rev), 0)::bigint AS revisions, max(changed_at) AS newest
  FROM register_entry WHERE kind = ANY(%(kinds)s);

-- register_places: Entries with a position, as somebody may name them.
SELECT kind, entry_id, name, area, lon, lat, coalesce(document ->> 'also', '') AS also,
       coalesce(document ->> 'address', document ->> 'location', document ->> 'road', '') AS address
  FROM register_entry
 WHERE kind = ANY(%(kinds)s) AND lon IS NOT NULL AND (kind, entry_id) > (%(after_kind)s, %(after_id)s)
 ORDER BY kind, entry_id LIMIT %(limit)s;

-- list_statements: Newest day first, newest edition first.
SELECT * FROM register_statement WHERE kind = %(kind)s AND entry_id = %(entry_id)s
 ORDER BY day DESC, edition DESC LIMIT %(limit)s;

-- statements_of_day: Newest edition first.
SELECT * FROM register_statement WHERE kind = %(kind)s AND entry_id = %(entry_id)s AND day::text = %(day)s
 ORDER BY edition DESC;

-- statements_on: The newest edition of a day of each of these.
SELECT DISTINCT ON (entry_id) * FROM register_statement
 WHERE kind = %(kind)s AND entry_id = ANY(%(entry_ids)s) AND day::text = %(day)s
 ORDER BY entry_id, edition DESC;

-- add_statement: An edition is signed once.
INSERT INTO register_statement (kind, entry_id, day, edition, grade, text, signed_by, signed_name, signed_at, machine_at)
VALUES (%(kind)s, %(entry_id)s, %(day)s, %(edition)s, %(grade)s, %(text)s, %(signed_by)s, %(signed_name)s, %(signed_at)s,
        %(machine_at)s)
ON CONFLICT DO NOTHING RETURNING edition;
