"""Aggregates of the fields of a type, by DuckDB over the files: JSON in, JSON out.

In: {"query": "SELECT ...", "rejects": [[partition, offset]],
"fields": [{"name": "a.b", "path": "a.b", "as": "double", "texts": false}]}
A field has all values under its path, those of lists as well. `as` is the type that Elasticsearch
gave it: what the field ignores is left out here by the rules of the documentation, not by code of
the archiver.
"""

import ipaddress
import json
import sys

import duckdb

asked = json.load(sys.stdin)
con = duckdb.connect()
con.sql("SET TimeZone = 'UTC'")
rejects = ", ".join(f"({partition}, {offset})" for partition, offset in asked["rejects"]) or "(-1, -1)"
con.sql(
    f"CREATE TABLE t AS SELECT row_number() OVER () AS id, value FROM ({asked['query']}) "
    f'WHERE (kafka."partition", kafka."offset") NOT IN ({rejects})'
)


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def flat(values, of):
    """A list of values without lists among them, and the type of a value."""
    while of.id == "list":
        values, of = f"flatten([coalesce(v, []) for v in {values}])", dict(of.children)["child"]
    if of.id == "json" or str(of) == "JSON":
        values = (
            f"flatten([CASE WHEN json_type(v) = 'ARRAY' THEN json_extract(v, '$[*]') "
            f"ELSE [v] END for v in {values}])"
        )
    return values, of


def values_at(path):
    """All values under a path whose parts are joined by dots, as an expression that is a list."""
    values, of = flat("[value]", con.sql("SELECT value FROM t LIMIT 0").types[0])
    parts = path.split(".")
    while parts:
        if of.id == "struct":
            names = dict(of.children)
            for length in range(len(parts), 0, -1):
                name = ".".join(parts[:length])
                if name in names:
                    break
            else:
                raise KeyError(path)
            values, of = flat(f"[v.{quoted(name)} for v in {values}]", names[name])
            parts = parts[length:]
        else:
            pointer = literal(f'$."{parts[0]}"')
            values, of = flat(f"[json_extract(v, {pointer}) for v in {values}]", of)
            parts = parts[1:]
    return values, str(of)


def rows(field):
    values, of = values_at(field["path"])
    text = "v->>'$'" if of == "JSON" else "v::VARCHAR"
    number = {
        "JSON": "CASE WHEN json_type(v) IN ('BIGINT','UBIGINT','HUGEINT','DOUBLE') THEN v::DOUBLE "
        + ("WHEN json_type(v) = 'VARCHAR' THEN try_cast(v->>'$' AS DOUBLE) " if field["texts"] else "")
        + "END",
        "VARCHAR": "try_cast(v AS DOUBLE)" if field["texts"] else "NULL",
        "BOOLEAN": "NULL",
    }.get(of, "v::DOUBLE")
    date = (
        f"coalesce(try_cast({text} AS TIMESTAMPTZ), "
        f"try_strptime({text}, '%d/%b/%Y:%H:%M:%S %z')::TIMESTAMPTZ, "
        f"try_strptime({text}, '%a, %d %b %Y %H:%M:%S GMT')::TIMESTAMP::TIMESTAMPTZ)"
    )
    epoch = "NULL" if of in ("BOOLEAN",) else f"try_cast({text} AS DOUBLE)"
    expression = {"double": number, "long": number, "date": date, "epoch": epoch}.get(field["as"], text)
    return f"(SELECT id, {expression} AS x FROM (SELECT id, unnest({values}) AS v FROM t) WHERE v IS NOT NULL)"


def stats(sql):
    found = con.sql(
        f"SELECT count(x), fsum(x), avg(x), min(x), max(x), fsum(abs(x)) FROM {sql} WHERE isfinite(x)"
    ).fetchall()[0]
    return dict(zip(["count", "sum", "avg", "min", "max", "scale"], found))


def normal(kind, text):
    if kind == "ip":
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            return None
    if kind == "boolean":
        return text if text in ("true", "false") else None
    return text if len(text.encode("utf-16-le")) // 2 <= 1024 else None


results = {}
for field in asked["fields"]:
    sql, kind = rows(field), field["as"]
    if kind in ("double", "long"):
        results[field["name"]] = stats(sql)
    elif kind == "epoch":
        scale = f"(SELECT x * CASE WHEN abs(x) < 1e11 THEN 1000 ELSE 1 END AS x FROM {sql})"
        results[field["name"]] = stats(scale)
    elif kind == "date":
        results[field["name"]] = stats(f"(SELECT epoch_us(x) / 1000.0 AS x FROM {sql} WHERE isfinite(x))")
    else:
        terms = {}
        for text, identity in con.sql(f"SELECT DISTINCT x, id FROM {sql} WHERE x IS NOT NULL").fetchall():
            key = normal(kind, text)
            if key is not None:
                terms.setdefault(key, set()).add(identity)
        results[field["name"]] = {key: len(ids) for key, ids in terms.items()}
json.dump(results, sys.stdout)
