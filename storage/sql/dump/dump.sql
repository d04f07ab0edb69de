-- begin_dump: One consistent picture for the whole dump, however long it takes.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- no_timeout: A dump or a load takes as long as it takes.
SELECT set_config('statement_timeout', '0', true);

-- tables: Every table of the tenant with the columns that a copy carries; partitions and chunks belong to their table.
SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND c.relname <> 'schema_migration'
 GROUP BY c.relname ORDER BY c.relname;

-- table_references: Which table points to which: what is pointed to is loaded first.
SELECT DISTINCT child.relname AS child, parent.relname AS parent
  FROM pg_catalog.pg_constraint f
  JOIN pg_catalog.pg_class child ON child.oid = f.conrelid
  JOIN pg_catalog.pg_class parent ON parent.oid = f.confrelid
 WHERE f.contype = 'f' AND f.connamespace = current_schema()::regnamespace AND child.oid <> parent.oid
   AND NOT child.relispartition AND NOT parent.relispartition;

-- table_triggers: Triggers of ours: what refuses a change of a row refuses a load too. TimescaleDB's own stay.
SELECT t.relname AS name, g.tgname AS trigger
  FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class t ON t.oid = g.tgrelid
 WHERE t.relnamespace = current_schema()::regnamespace AND NOT g.tgisinternal AND NOT t.relispartition AND left(g.tgname, 3) <> 'ts_'
 ORDER BY 1, 2;

-- table_sequences: The last number that each counting column has given.
SELECT t.relname AS name, a.attname AS column, pg_sequence_last_value(s.oid) AS last
  FROM pg_catalog.pg_class s
  JOIN pg_catalog.pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('i', 'a')
  JOIN pg_catalog.pg_class t ON t.oid = d.refobjid
  JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
 WHERE s.relkind = 'S' AND s.relnamespace = current_schema()::regnamespace ORDER BY 1, 2;

-- set_sequence: Go on counting after the last number that was given.
SELECT setval(pg_get_serial_sequence(quote_ident(%(name)s), %(column)s), %(last)s);

-- observed_span: The first and last phenomenon time in the partitioned table.
SELECT min(phenomenon_time) AS first, max(phenomenon_time) AS last FROM observation;

-- ensure_span: Partitions for what will be loaded; nothing to do on hypertables.
SELECT observation_ensure(%(first)s, %(last)s) AS made;

-- all_cursors: How far each consumer had taken the log over.
SELECT name, position FROM log_cursor ORDER BY name;

-- schema_tables: Whether anything stands in the tenant's schema already.
SELECT count(*) AS tables FROM pg_catalog.pg_tables WHERE schemaname = %(schema)s;
