-- configure_session: Each connection sees the tenant's schema first, speaks UTC and never runs a statement for ever.
SELECT set_config('search_path', %(search_path)s, false),
       set_config('TimeZone', 'UTC', false),
       set_config('statement_timeout', %(statement_timeout)s, false),
       set_config('client_min_messages', 'warning', false);

-- ping: Does the server answer?
SELECT 1 AS one;

-- server_version: What PostgreSQL this is, for the doctor.
SELECT current_setting('server_version') AS version;

-- has_table: Is a table there? One row, or none.
SELECT 1 AS found FROM pg_catalog.pg_tables WHERE schemaname = %(schema)s AND tablename = %(name)s;

-- schema_family: How the tables of this schema were made (timescale or plain), fixed by the first migration.
SELECT family FROM schema_migration ORDER BY number LIMIT 1;

-- timescale_license: The licence of the extension in this database; no row: the extension is not installed.
SELECT current_setting('timescaledb.license', true) AS license, extversion AS version
  FROM pg_catalog.pg_extension WHERE extname = 'timescaledb';

-- timescale_available: Can the extension be created here? No row: it cannot.
SELECT default_version AS version FROM pg_catalog.pg_available_extensions WHERE name = 'timescaledb';

-- create_timescale: Make the extension; ends the connection where the library is not preloaded.
CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public;

-- lock_migrations: Two processes that migrate one schema take turns; held until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('citybrain.migrate.' || %(tenant)s, 0));

-- create_migration_table: The record of what was applied, made before the first migration.
CREATE TABLE IF NOT EXISTS schema_migration (
    number     integer     NOT NULL CONSTRAINT schema_migration_pkey PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    family     text        NOT NULL CONSTRAINT schema_migration_family_known CHECK (family IN ('timescale', 'plain')),
    applied_at timestamptz NOT NULL
);

-- applied_migrations: What this schema has seen, in order.
SELECT number, name, checksum, family FROM schema_migration ORDER BY number;

-- record_migration: Remember an applied migration; in the same transaction as its statements.
INSERT INTO schema_migration (number, name, checksum, family, applied_at)
VALUES (%(number)s, %(name)s, %(checksum)s, %(family)s, %(applied_at)s);
