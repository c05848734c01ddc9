"""The filter language: what it reads, what it refuses, and what it finds."""

import json

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog.errors import FilterError
from auditlog.filters.language import FIELDS, Comparison, Filter, Match, Pattern, parse
from auditlog.normalise import columns
from auditlog.store.views import derived_views


def pattern(text):
    """Give the pattern of a value in which `*` is a wildcard."""
    return Pattern(tuple(text.split("*")))


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", ()),
        ("agent:support-bot", (Match("agent", (pattern("support-bot"),)),)),
        ("Agent:a,b", (Match("agent", (pattern("a"), pattern("b"))),)),
        ("-tool:issue_*", (Match("tool", (pattern("issue_*"),), negated=True),)),
        ("text:'double charge'", (Match("text", (pattern("double charge"),)),)),
        ('"double charge"', (Match("text", (pattern("double charge"),)),)),
        ("refund late", (Match("text", (pattern("refund"),)), Match("text", (pattern("late"),)))),
        ("-refund", (Match("text", (pattern("refund"),), negated=True),)),
        ("don't 10:30", (Match("text", (pattern("don't"),)), Match("text", (pattern("10:30"),)))),
        (r"text:'it\'s \*new\*'", (Match("text", (Pattern(("it's *new*",)),)),)),
        ("tag.arm:base", (Match("tag", (pattern("base"),), "arm"),)),
        ("tag:arm=base,cand", (Match("tag", (pattern("base"), pattern("cand")), "arm"),)),
        ("tag:arm", (Match("tag", (pattern("*"),), "arm"),)),
        ("status:Error,ok", (Match("status", (pattern("error"), pattern("ok"))),)),
        ("why:'tool error' why:tool-error", (Match("why", (pattern("tool error"),)),) * 2),
        ("escalated:true", (Match("escalated", (pattern("yes"),)),)),
        ("cost>=0.05", (Comparison("cost", ">=", 0.05),)),
        ("duration<500ms", (Comparison("duration", "<", 0.5),)),
        ("duration>2m", (Comparison("duration", ">", 120.0),)),
        (
            "tokens>2k -turns:1",
            (Comparison("tokens", ">", 2000.0), Comparison("turns", ":", 1.0, negated=True)),
        ),
    ],
)
def test_a_filter_is_read_as_its_terms(text, terms):
    """Each way to write a term gives that term."""
    assert parse(text) == Filter(terms)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "agnt:x",
            "at character 1: there is no field 'agnt'; the nearest is `agent`. Example: agent:support-bot",
        ),
        ("ok -colour:red", "at character 5: there is no field 'colour'"),
        (
            "see http://x",
            "at character 5: there is no field 'http'. To search for text that holds a colon, quote it",
        ),
        (
            "status:eror",
            "at character 8: `status` knows no 'eror'; the nearest is `error`; it takes one of ok, error",
        ),
        ("cost>lots", "at character 6: `cost` takes one number (US dollars). Example: cost>=0.05"),
        ("cost>5s", "`cost` takes one number"),
        ("duration>5k", "`duration` takes one number"),
        ("turns:1,2", "`turns` takes one number"),
        ("agent>5", "`agent` is not a number, so it takes `:` and not `>`"),
        ("agent:", "at character 7: `agent` has no value here"),
        ("agent:a, b", "at character 9: `agent` has no value here"),
        ("text:'double", "at character 6: the quote ' is never closed"),
        ("text:'a'b", "at character 9: a space or a comma belongs behind the closing quote"),
        ("agent.x:1", "`agent` takes no key, only `tag` does"),
        ("tag:", "`tag` has no value here"),
        ("tag:=x", "`tag` takes a key and a value. Example: tag.arm:base"),
        ("x " * 101, "it has more than 100 terms"),
        ("x" * 10_001, "10001 characters, and 10000 is the most"),
    ],
)
def test_what_does_not_parse_is_explained(text, message):
    """The error says where it is, what was nearest, and gives an example."""
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert message in str(caught.value)


def test_every_example_parses():
    """The examples that errors and documentation give are filters."""
    for field in FIELDS.values():
        assert str(parse(field.example))


alphabet = st.sampled_from("agenttextagstuscot:><=-,.*'\"\\ %_\x00\x1b\ud800é5k;")


@given(st.one_of(st.text(alphabet, max_size=30), st.text(max_size=20)))
def test_parsing_raises_nothing_but_a_filter_error(text):
    """Any text is a filter or a FilterError, and a filter written down is the same filter."""
    try:
        parsed = parse(text)
    except FilterError as error:
        assert str(error).isprintable()
        return
    assert parse(str(parsed)) == parsed


pieces = st.lists(st.text(max_size=8), min_size=1, max_size=3)
patterns = st.builds(lambda found: Pattern(tuple(found)), pieces)
values = st.lists(patterns, min_size=1, max_size=3).map(tuple)
names = st.sampled_from(sorted(name for name, field in FIELDS.items() if field.takes in ("name", "text")))
choices = st.sampled_from([(f.name, choice) for f in FIELDS.values() for choice in f.choices])
numbers = st.sampled_from(sorted(name for name, field in FIELDS.items() if field.takes == "number"))
terms = st.one_of(
    st.builds(Match, names, values, st.none(), st.booleans()),
    st.builds(lambda c, n: Match(c[0], (Pattern((c[1],)),), None, n), choices, st.booleans()),
    st.builds(
        Match, st.just("tag"), values, st.from_regex(r"[a-z_.*\\é]{1,5}", fullmatch=True), st.booleans()
    ),
    st.builds(
        Comparison,
        numbers,
        st.sampled_from([":", ">", ">=", "<", "<="]),
        st.floats(0, 1e12, allow_subnormal=False).filter(lambda n: n == 0 or n > 1e-6),
        st.booleans(),
    ),
)


@given(st.lists(terms, max_size=4))
def test_a_filter_written_down_parses_to_itself(found):
    """Rendering a filter and parsing it gives an equal filter, whatever its values hold."""
    assert parse(str(Filter(tuple(found)))) == Filter(tuple(found))


@pytest.fixture(scope="module")
def spans():
    """Give a database with four conversations: a refund, an angry one, a replay-like duplicate name, an empty one."""
    connection = duckdb.connect()
    types = {
        "int64": "BIGINT",
        "double": "DOUBLE",
        "bool": "BOOLEAN",
        "binary": "BLOB",
        "timestamp_us": "TIMESTAMP",
    }
    listed = ", ".join(f"{name} {types.get(column['type'], 'VARCHAR')}" for name, column in columns().items())
    connection.execute(f"CREATE TABLE all_spans ({listed}, segment VARCHAR)")
    for view in derived_views():
        connection.execute(view)

    def add(conversation, turn, span, kind, name, **facts):
        row = {
            "conversation_id": conversation,
            "turn_id": turn,
            "span_id": span,
            "kind": kind,
            "name": name,
            "status": "ok",
            "start_ns": 0,
            "end_ns": 1_000_000_000,
            **facts,
        }
        for part in ("input", "output", "input_messages", "output_messages", "documents", "tags"):
            if part in row:
                row[part] = json.dumps(row[part], separators=(",", ":"), ensure_ascii=False)
                row[part] = row[part] if part == "tags" else row[part].encode()
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO all_spans ({', '.join(row)}) VALUES ({marks})", list(row.values()))

    agent = {"agent_name": "support-bot", "agent_version": "v1", "user_id": "u-17"}
    add(
        "c-1",
        "t1",
        "t1",
        "agent",
        "support-bot",
        **agent,
        input={"q": 'My "double  charge"'},
        tags={"arm/x": "base"},
    )
    add(
        "c-1",
        "t1",
        "m1",
        "model",
        "chat",
        model_requested="gpt-4.1",
        model_served="gpt-4.1-mini",
        provider="openai",
        input_tokens=1000,
        output_tokens=500,
        cost_usd=0.04,
        prompt_name="greeting",
        prompt_version="3",
    )
    add("c-1", "t1", "x1", "tool", "issue_refund", effect="write", output={"ok": True}, end_ns=3_000_000_000)
    add("c-1", "t2", "t2", "agent", "support-bot", **agent, output="100% Größe_1")
    add(
        "c-1", "t2", "r2", "retriever", "help", documents=[{"id": "refund-policy", "source": "kb/refunds.md"}]
    )
    add(
        "c-2",
        "t3",
        "t3",
        "agent",
        "Other",
        agent_name="Other",
        status="error",
        error_type="TimeoutError",
        escalation_reason="angry",
    )
    add("c-2", "t3", "x3", "tool", "look_up", status="error", effect="read", cost_usd=0.5, lossy=True)
    add("c-3", "t4", "t4", "agent", "support-bot", agent_name="support-bot", status="incomplete", end_ns=None)
    said = ["A 100% ", 'sure "an', 'swer"', {"end": 1}]
    add("c-3", "t4", "m4", "model", "chat", output=said, stream=True)
    add(None, None, "z", "other", "stray")
    return connection


@pytest.mark.parametrize(
    ("text", "conversations", "turns"),
    [
        ("", "c-1 c-2 c-3", "t1 t2 t3 t4"),
        ("agent:SUPPORT-bot", "c-1 c-3", "t1 t2 t4"),
        ("agent:support*", "c-1 c-3", "t1 t2 t4"),
        ("-agent:support-bot", "c-2", "t3"),
        ("agent:support-bot,other", "c-1 c-2 c-3", "t1 t2 t3 t4"),
        ("version:v1", "c-1", "t1 t2"),
        ("model:gpt-4.1", "c-1", "t1"),
        ("model:*mini", "c-1", "t1"),
        ("provider:openai", "c-1", "t1"),
        ("status:error", "c-2", "t3"),
        ("status:ok", "c-1", "t1 t2"),
        ("status:ok,incomplete", "c-1 c-3", "t1 t2 t4"),
        ("-status:ok", "c-2 c-3", "t3 t4"),
        ("why:'tool error'", "c-2", "t3"),
        ("why:lossy,incomplete", "c-2 c-3", "t3 t4"),
        ("tool:issue_refund", "c-1", "t1"),
        ("tool:help", "", ""),
        ("kind:retriever", "c-1", "t2"),
        ("effect:write", "c-1", "t1"),
        ("user:u-17", "c-1", "t1 t2"),
        ("conversation:c-2", "c-2", "t3"),
        ("text:'double  charge'", "c-1", "t1"),
        ("text:'\"double*charge\"'", "c-1", "t1"),
        ("100% größe_", "c-1", "t2"),
        ("text:0%x", "", ""),
        ("text:'100% sure \"an*wer'", "c-3", "t4"),
        ("text:'sure \"answer\"'", "c-3", "t4"),
        ("-text:'sure \"answer\"'", "c-1 c-2", "t1 t2 t3"),
        ("text:Größe-1", "", ""),
        ("error:timeout*", "c-2", "t3"),
        ("doc:refund-policy", "c-1", "t2"),
        ("doc:refund", "", ""),
        ("doc:kb/*", "c-1", "t2"),
        ("tag.arm/x:base", "c-1", "t1"),
        ("tag:arm/x=cand", "", ""),
        ("-tag:arm/x", "c-2 c-3", "t2 t3 t4"),
        ("prompt:greeting", "c-1", "t1"),
        ("prompt:greeting@3", "c-1", "t1"),
        ("escalated:yes", "c-2", "t3"),
        ("escalated:no", "c-1 c-3", "t1 t2 t4"),
        ("escalated:no,yes", "c-1 c-2 c-3", "t1 t2 t3 t4"),
        ("tokens>=1.5k", "c-1", "t1"),
        ("cost>0.04", "c-2", "t3"),
        ("-cost>0.04", "c-1 c-3", "t1 t2 t4"),
        ("duration>2500ms", "c-1", "t1"),
        ("turns>1", "c-1", "t1 t2"),
        ("tools:1", "c-1 c-2", "t1 t3"),
        ("agent:support-bot tool:issue_refund text:größe", "c-1", ""),
        ("x'; DROP TABLE spans;--", "", ""),
        ('text:"\' OR 1=1--"', "", ""),
    ],
)
def test_a_filter_finds_what_it_says(spans, text, conversations, turns):
    """A term holds for a conversation when any span of it does, and for a turn when any span of the turn does."""
    for level, key, expected in (
        ("conversation", "conversation_id", conversations),
        ("turn", "turn_id", turns),
    ):
        where, bound = parse(text).where(level)
        sql = f"SELECT {key} FROM {level}s WHERE {key} IS NOT NULL AND {where} ORDER BY 1"
        found = [key for (key,) in spans.execute(sql, bound).fetchall()]
        assert " ".join(found) == expected


@given(st.lists(terms, min_size=1, max_size=3), st.sampled_from(["conversation", "turn"]))
def test_nothing_of_a_value_gets_into_the_sql(spans, found, level):
    """The SQL of a filter depends on its fields and shapes alone, binds a value for each mark, and runs."""
    where, bound = Filter(tuple(found)).where(level)
    assert where.count("?") == len(bound)
    cursor = spans.cursor()
    cursor.execute(f"SELECT count(*) FROM {level}s WHERE {where}", bound).fetchall()
    words = set(where.replace("(", " ").replace(")", " ").replace(",", " ").split())
    assert words <= SQL_WORDS


def _sql_words():
    every = [
        Match(name, (Pattern(("x",)), Pattern(("x", "y"))))
        for name, f in FIELDS.items()
        if f.takes in ("name", "text")
    ]
    every += [Match(f.name, (Pattern((c,)), Pattern((c,)))) for f in FIELDS.values() for c in f.choices]
    every += [Match("tag", (Pattern(("x",)), Pattern(("x", "y"))), "k")]
    every += [
        Comparison(n, op, 1.0)
        for n in ("tokens", "cost", "duration", "turns", "tools")
        for op in (":", ">", ">=", "<", "<=")
    ]
    every += [
        Match("escalated", (Pattern(("yes",)), Pattern(("no",)))),
        Match("kind", (Pattern(("tool",)),), negated=True),
    ]
    sql = " ".join(Filter((term,)).where(level)[0] for term in every for level in ("conversation", "turn"))
    return set(sql.replace("(", " ").replace(")", " ").replace(",", " ").split()) | {"AND"}


SQL_WORDS = _sql_words()
