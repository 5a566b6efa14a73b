"""check_demo SUMMARY.json: checks the summary of `leat demo --for … --format json --data-dir …` with DuckDB's help.

Every event is counted in a window and is one row of the Parquet export; offsets have no gap and no double; timestamps
are timestamps.
"""
import glob
import json
import sys

import duckdb

summary = json.load(open(sys.argv[1]))
events = summary["events_produced"]
assert events > 0 and summary["balanced"], summary
assert summary["events_counted"] == events, summary
assert summary["windows"]["closed"] > 0, summary
assert 0 < summary["first_record_ms"] < 60_000, summary

files = glob.glob(summary["parquet"]["dir"] + "/*/*/*.parquet")
assert len(files) == summary["parquet"]["files"], (files, summary)
rows = duckdb.sql(f"select count(*), count(distinct (_kafka_topic, _kafka_partition, _kafka_offset)) from read_parquet({files})").fetchall()
assert rows == [(events, events)], (rows, events)
gaps = duckdb.sql(f"select _kafka_partition from read_parquet({files}) group by 1 having count(*) <> max(_kafka_offset) + 1").fetchall()
assert not gaps, gaps
types = {name: kind for name, kind, *_ in duckdb.sql(f"describe select * from read_parquet({files})").fetchall()}
assert types["at"].startswith("TIMESTAMP") and types["member_id"] == "BIGINT" and types["bot"] == "BOOLEAN", types
print(f"{events} events, each in a window and in one of {len(files)} Parquet files; first record after {summary['first_record_ms']} ms")
