-- Closes one database. The rule for functions: an immutable one tells nothing but what its caller told it; each other one is closed
-- unless it is listed here, because it is needed for ordinary SQL on one's own rows and shows nothing of others. So what
-- a later PostgreSQL adds is closed until somebody looks at it. Types' own input and output functions ask for no right.
DO $harden$
DECLARE
    -- Stable or volatile, by name, and harmless: time, text, JSON, text search, enums, randomness, what one is oneself.
    listed CONSTANT text[] := ARRAY[
        'age', 'clock_timestamp', 'date', 'date_add', 'date_part', 'date_subtract', 'date_trunc', 'extract', 'generate_series',
        'in_range', 'interval_pl_timestamptz', 'make_timestamptz', 'now', 'overlaps', 'statement_timestamp', 'time', 'timeofday',
        'timestamp', 'timestamptz', 'timestamptz_mi_interval', 'timestamptz_pl_interval', 'timetz', 'timezone',
        'transaction_timestamp', 'to_char', 'to_date', 'to_number', 'to_timestamp',
        'date_cmp_timestamptz', 'date_eq_timestamptz', 'date_ge_timestamptz', 'date_gt_timestamptz', 'date_le_timestamptz',
        'date_lt_timestamptz', 'date_ne_timestamptz', 'timestamp_cmp_timestamptz', 'timestamp_eq_timestamptz',
        'timestamp_ge_timestamptz', 'timestamp_gt_timestamptz', 'timestamp_le_timestamptz', 'timestamp_lt_timestamptz',
        'timestamp_ne_timestamptz', 'timestamptz_cmp_date', 'timestamptz_cmp_timestamp', 'timestamptz_eq_date',
        'timestamptz_eq_timestamp', 'timestamptz_ge_date', 'timestamptz_ge_timestamp', 'timestamptz_gt_date',
        'timestamptz_gt_timestamp', 'timestamptz_le_date', 'timestamptz_le_timestamp', 'timestamptz_lt_date',
        'timestamptz_lt_timestamp', 'timestamptz_ne_date', 'timestamptz_ne_timestamp',
        'array_to_string', 'anytextcat', 'textanycat', 'concat', 'concat_ws', 'convert', 'convert_from', 'convert_to', 'format',
        'length', 'money', 'numeric', 'quote_literal', 'quote_nullable',
        'array_to_json', 'row_to_json', 'to_json', 'to_jsonb',
        'json_agg', 'json_agg_transfn', 'json_agg_strict', 'json_agg_strict_transfn', 'json_build_array', 'json_build_object',
        'json_object_agg', 'json_object_agg_transfn', 'json_populate_record', 'json_populate_recordset', 'json_to_record', 'json_to_recordset',
        'jsonb_agg', 'jsonb_agg_finalfn', 'jsonb_agg_transfn', 'jsonb_agg_strict', 'jsonb_agg_strict_transfn', 'jsonb_build_array', 'jsonb_build_object',
        'jsonb_object_agg', 'jsonb_object_agg_finalfn', 'jsonb_object_agg_transfn', 'jsonb_path_exists_tz', 'jsonb_path_match_tz', 'jsonb_path_query_array_tz',
        'jsonb_path_query_first_tz', 'jsonb_path_query_tz', 'jsonb_populate_record', 'jsonb_populate_recordset', 'jsonb_to_record', 'jsonb_to_recordset',
        'get_current_ts_config', 'json_to_tsvector', 'jsonb_to_tsvector', 'phraseto_tsquery', 'plainto_tsquery', 'to_tsquery', 'to_tsvector',
        'ts_headline', 'ts_match_tq', 'ts_match_tt', 'websearch_to_tsquery',
        'enum_first', 'enum_last', 'enum_range', 'random', 'random_normal', 'setseed', 'gen_random_uuid', 'pg_typeof'];
    -- Called immutable, and yet telling about objects by their number.
    telling CONSTANT text[] := ARRAY['acldefault', 'makeaclitem', 'pg_partition_root', 'satisfies_hash_partition'];
    closed text;
    schema_name text;
BEGIN
    REVOKE ALL ON SCHEMA public FROM PUBLIC;
    REVOKE USAGE ON LANGUAGE sql, plpgsql FROM PUBLIC;
    -- Catalogs and the views on them show the names, settings, statistics and sessions of others.
    REVOKE ALL ON ALL TABLES IN SCHEMA pg_catalog, information_schema FROM PUBLIC;

    SELECT string_agg(p.oid::regprocedure::text, ', ') INTO closed
    FROM pg_proc p
    WHERE p.pronamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        AND (p.provolatile <> 'i' AND (p.proname <> ALL (listed) OR 'xid'::regtype = ANY (p.proargtypes::oid[])) OR p.proname = ANY (telling))
        AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0))
        AND NOT EXISTS (SELECT FROM pg_type t
            WHERE p.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout, t.typanalyze));
    IF closed IS NOT NULL THEN
        EXECUTE 'REVOKE EXECUTE ON ROUTINE ' || closed || ' FROM PUBLIC';
    END IF;

    -- What extensions bring. TimescaleDB looks its own parts up with the rights of who reads or writes a hypertable, so its
    -- schemas stay open and what is in them is closed.
    FOR schema_name IN SELECT nspname FROM pg_namespace n
        WHERE nspname ~ '^_?timescaledb' OR nspname = 'toolkit_experimental'
    LOOP
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM PUBLIC', schema_name);
        EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM PUBLIC', schema_name);
        EXECUTE format('REVOKE ALL ON ALL ROUTINES IN SCHEMA %I FROM PUBLIC', schema_name);
    END LOOP;
END
$harden$
