"""Redaction into a store: configure, the key, settings, imports, the vault."""

import multiprocessing
import stat
import subprocess
import sys
import threading
import time

import orjson
import pytest
from click.testing import CliRunner

import auditlog
from auditlog import config, layout
from auditlog.cli.main import main
from auditlog.errors import ConfigurationError, FilterError, FormatError
from auditlog.importers import import_into
from auditlog.record import decode_record
from auditlog.recorder import ListSink, Recorder
from auditlog.redaction import Redactor, for_store, subject_tokens, vault
from auditlog.redaction.redactor import bound_to
from auditlog.redaction.token import TOKEN, ensure_key, find_key, key_path
from auditlog.sealing.segment import read_segment
from auditlog.store import Store

MAIL = "anna.smith@example.com"


@pytest.fixture(autouse=True)
def stop():
    yield
    config.use(None)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Give a function that runs the command in this process."""
    monkeypatch.delenv("AUDITLOG_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments, stdin=None: CliRunner().invoke(main, arguments, input=stdin)


def everything_in(path):
    """Give every byte of a store but for its keys, and those of its segments unpacked, too."""
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and file.parent.name != "keys"]
    rows = [str(read_segment(file).to_pylist()).encode() for file in files if file.suffix == ".parquet"]
    return b"".join([*(file.read_bytes() for file in files), *rows])


def talk():
    """Record a turn that holds an address in every sort of part."""

    @auditlog.tool(effect="read")
    def look_up(email):
        raise LookupError(f"nobody is called {email}")

    @auditlog.model
    def complete(messages):
        yield from (MAIL[:7], MAIL[7:])

    @auditlog.agent("support-bot")
    def answer(question):
        auditlog.annotate(note=MAIL)
        list(complete([{"role": "user", "content": question}]))
        look_up(MAIL)

    with auditlog.conversation(f"case of {MAIL}", user=MAIL, tags={"mail": MAIL}), pytest.raises(LookupError):
        answer(f"I am\n{MAIL}")


def test_nothing_of_a_value_reaches_the_disk(store_path):
    """Arguments, results, streams, errors, stacks, tags, users and the conversation's name: all are redacted, live and sealed."""
    auditlog.configure(store_path, redact=True)
    talk()
    auditlog.shutdown()
    assert MAIL.encode() not in everything_in(store_path)
    assert b"anna." not in everything_in(store_path)
    with Store.open(store_path) as store:
        store.seal()
    assert b"anna." not in everything_in(store_path)


def test_one_customer_has_one_token_in_the_whole_store(store_path):
    """In another process and another time, a customer is the same; in another store, not."""
    auditlog.configure(store_path, redact=["email"])
    talk()
    auditlog.configure(store_path, redact=True)
    talk()
    auditlog.shutdown()
    found = {match[0].decode() for match in TOKEN.finditer(everything_in(store_path)) if match[1] == b"email"}
    own = for_store(layout.find(store_path)).token("email", MAIL)
    assert {own, for_store(layout.find(store_path)).token("email", f"of {MAIL}"[3:])} <= found
    other = layout.ensure(store_path.with_name("other"))
    assert own != for_store(other, True).token("email", MAIL)


def test_without_redaction_nothing_of_it_is_loaded(tmp_path):
    """A recorder that does not redact loads neither RE2 nor the patterns nor cryptography."""
    code = f"""
import sys, auditlog
auditlog.configure({str(tmp_path / "audit")!r})
@auditlog.agent
def answer(question): return question
answer("hello")
auditlog.shutdown()
print([name for name in sys.modules if name.startswith(("re2", "auditlog.redaction", "cryptography", "spacy"))])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()


def test_the_key_is_made_once_and_is_private(store_path):
    """The key has mode 0600, and stays what it is."""
    found = layout.ensure(store_path)
    assert find_key(found) is None
    key = ensure_key(found)
    assert key == ensure_key(found) == find_key(found)
    assert 0o600 == stat.S_IMODE(key_path(found).stat().st_mode)
    assert 0o700 == stat.S_IMODE(key_path(found).parent.stat().st_mode)
    assert [key_path(found)] == list(key_path(found).parent.iterdir())


def _key(path, queue):
    queue.put(ensure_key(layout.ensure(path)))


def test_processes_that_make_the_key_at_once_agree(store_path):
    """Eight processes that redact first in the same moment have one key."""
    layout.ensure(store_path)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_key, args=(store_path, queue)) for _ in range(8)]
    for worker in workers:
        worker.start()
    keys = {queue.get(timeout=30) for _ in workers}
    for worker in workers:
        worker.join()
    assert 1 == len(keys)


@pytest.mark.parametrize("content", ["", "00", "zz" * 32, "00" * 31])
def test_a_damaged_key_is_refused(store_path, content):
    """A key that is cut or overwritten is not replaced in silence: the customers' tokens would change."""
    found = layout.ensure(store_path)
    ensure_key(found)
    key_path(found).write_text(content)
    with pytest.raises(ConfigurationError, match="damaged"):
        auditlog.configure(store_path, redact=True)


def test_a_key_that_is_a_symlink_is_refused(store_path, tmp_path):
    """Whoever can plant a link cannot choose the key."""
    found = layout.ensure(store_path)
    (tmp_path / "key").write_text("00" * 32)
    key_path(found).parent.mkdir(exist_ok=True)
    key_path(found).symlink_to(tmp_path / "key")
    with pytest.raises(ConfigurationError, match="no regular file"):
        ensure_key(found)


@pytest.mark.parametrize("redact", [7, object(), ["emial"], "nothing", {"email": 1}.values()])
def test_a_setting_without_meaning_is_refused(store_path, redact):
    """What `redact=` cannot mean is refused when the process is configured, and nothing is recorded in clear."""
    with pytest.raises(ConfigurationError):
        auditlog.configure(store_path, redact=redact)


def test_a_store_that_is_redacted_goes_on_being_redacted(store_path):
    """A process that says nothing about redaction does as the store's others do; one that says False does not."""
    auditlog.configure(store_path, redact=True)
    auditlog.configure(store_path)
    assert config.recorder().redactor is not None
    auditlog.configure(store_path, redact=False)
    assert config.recorder().redactor is None


def test_the_store_says_what_is_redacted(store_path):
    """`[redaction]` in store.toml sets the kinds for every process that says nothing itself."""
    found = layout.ensure(store_path)
    with found.settings.open("a") as file:
        file.write('[redaction]\nredact = ["email", "ip"]\n')
    auditlog.configure(store_path)
    assert ("email", "ip") == config.recorder().redactor.kinds


def test_an_import_is_redacted_where_the_store_is(store, tmp_path):
    """What comes from another tool's file is redacted as what is recorded, and importing it again brings nothing new."""
    ensure_key(store.layout)
    said = [{"role": "user", "content": f"I am {MAIL}"}, {"role": "assistant", "content": "Hello."}]
    file = tmp_path / "run.json"
    info = {"user_id": MAIL, "instruction": "", "actions": [], "outputs": []}
    run = {
        "task_id": 1,
        "trial": 0,
        "reward": 1.0,
        "info": {"task": info},
        "traj": [{"role": "system", "content": "Be kind."}, *said],
    }
    file.write_bytes(orjson.dumps([run]))
    report = import_into(store, file)
    assert report.spans
    assert b"anna." not in everything_in(store.path)
    assert TOKEN.search(everything_in(store.path))
    assert 0 == import_into(store, file).spans


def test_a_customer_is_looked_up_by_token(store_path):
    """The tokens of a value are those that the store holds for it, however it is written; without a key there are none."""
    found = layout.ensure(store_path)
    assert [] == subject_tokens(found, MAIL)
    redactor = for_store(found, True)
    assert redactor.token("email", MAIL) in subject_tokens(found, f" {MAIL.upper()} ")
    assert redactor.token("card", "4111111111111111") in subject_tokens(found, "4111 1111 1111 1111")
    assert redactor.token("date_of_birth", "1990-04-05") in subject_tokens(found, "April 5, 1990")
    own = redactor.token("email", MAIL)
    assert [own] == subject_tokens(found, own)
    with pytest.raises(FilterError):
        subject_tokens(found, " ")


class Failing(Redactor):
    """A redactor whose patterns fail."""

    def find(self, raw):
        """Fail, telling what it was given."""
        raise MemoryError(MAIL)


def test_a_recorder_fails_closed():
    """Where redaction fails, the record is written without the part, and the agent sees nothing of it."""
    sink = ListSink()
    recorder = Recorder(sink, redactor=Failing(key=bytes(32)))
    entry = {"trace": "0" * 32, "span": "1" * 16, "name": "answer"}
    assert recorder.start(entry, {"user.id": MAIL}, {"input": orjson.dumps(MAIL)})
    (payload,) = sink.take()
    assert b"anna." not in payload
    attributes = decode_record(payload).json("attributes")
    failed = ["name", "input", "attributes"]
    assert {"auditlog.redaction_failed.start": failed, "auditlog.lossy": True} == attributes


def test_what_was_taken_out_can_be_revealed_by_whoever_holds_the_key(store_path):
    """With a public key, the originals lie encrypted in the part `vault`; only the private key opens them."""
    private, public = vault.generate()
    auditlog.configure(store_path, redact=True, reveal_key=public)
    talk()
    auditlog.shutdown()
    assert b"anna." not in everything_in(store_path)
    with Store.open(store_path) as store:
        store.seal()
        rows = store.query(
            "SELECT trace_id, span_id, vault FROM all_spans WHERE vault IS NOT NULL"
        ).to_pylist()
        token = for_store(store.layout).token("email", MAIL)
    assert 3 == len(rows)
    for row in rows:
        binding = bound_to({"trace": row["trace_id"], "span": row["span_id"]})
        assert MAIL == vault.open_vault(row["vault"], private, binding)[token]
        with pytest.raises(FormatError):
            vault.open_vault(row["vault"], private, b"another/record")
        with pytest.raises(ConfigurationError, match="sealed to the key"):
            vault.open_vault(row["vault"], vault.generate()[0], binding)


def test_a_box_opens_with_hpke_that_is_not_ours():
    """The construction is RFC 9180 with X25519, HKDF-SHA256 and ChaCha20-Poly1305, as the library has it."""
    import base64

    from cryptography.hazmat.primitives import hpke
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    private, public = vault.generate()
    assert public == vault.public_of(private)
    (box,) = orjson.loads(vault.sealer(public)(b'{"a":"b"}', b"t/s"))
    key = X25519PrivateKey.from_private_bytes(base64.b64decode(private.removeprefix(vault.PRIVATE)))
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
    assert b'{"a":"b"}' == suite.decrypt(base64.b64decode(box["box"]), key, info=b"auditlog/vault/1 t/s")


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b'[{"v":2}]', b"\xff"])
def test_a_damaged_vault_is_refused(damage):
    """A vault of no known form is named as such."""
    with pytest.raises(FormatError):
        vault.open_vault(damage, vault.generate()[0], b"")


def test_a_key_is_not_taken_for_another():
    """A private key is no public one, and nothing else is either."""
    private, public = vault.generate()
    for wrong in (private, "", "x", public[:-3], public.replace("x25519", "ed25519")):
        with pytest.raises(ConfigurationError):
            vault.sealer(wrong)
    with pytest.raises(ConfigurationError):
        vault.open_vault(b"[]", public, b"")


def _talk():
    talk()
    auditlog.shutdown()


def test_a_forked_process_redacts_with_the_same_key(store_path):
    """A worker that is forked after `configure` redacts as its parent does."""
    auditlog.configure(store_path, redact=True)
    talk()
    config.flush()
    before = {match[0] for match in TOKEN.finditer(everything_in(store_path))}
    size = len(everything_in(store_path))
    worker = multiprocessing.get_context("fork").Process(target=_talk)
    worker.start()
    worker.join(60)
    assert 0 == worker.exitcode
    assert size < len(everything_in(store_path))
    assert b"anna." not in everything_in(store_path)
    assert before == {match[0] for match in TOKEN.finditer(everything_in(store_path))}


def test_a_customer_is_found_by_the_plain_value_and_nothing_keeps_it(store_path, run):
    """`find --subject` and `ls --subject` take what the customer says; store, output and access records hold the token."""
    auditlog.configure(store_path, redact=True)
    talk()
    auditlog.shutdown()
    where = ("--store", str(store_path), "--format", "json")
    for sealed in (False, True):
        if sealed:
            with Store.open(store_path) as store:
                store.seal()
        listed = run("ls", "--subject", MAIL.upper(), *where)
        assert 1 == len(orjson.loads(listed.stdout)), listed.stderr
        found = orjson.loads(run("find", "--subject", MAIL, *where).stdout)
        assert {"agent support-bot", "tool look_up", "model complete"} == {
            row["where"].split(" ·")[0] for row in found
        }
        assert MAIL not in str(found)
        assert 1 == run("ls", "--subject", "nobody@example.com", *where).exit_code
        assert 1 == run("find", "--subject", MAIL, "no such words", *where).exit_code
        assert run("find", "--subject", MAIL, "I am", *where).stdout.count("conversation_id") == 1
    assert MAIL.encode() not in everything_in(store_path)
    assert b"nobody@example.com" not in everything_in(store_path)
    assert b"subject:" in everything_in(store_path)


def test_a_store_without_tokens_says_so(store, run):
    """Where nothing was redacted, looking a customer up by token is refused, and what to do instead is said."""
    done = run("find", "--subject", MAIL, "--store", str(store.path))
    assert 0 != done.exit_code
    assert "holds no tokens" in done.stderr


class Broken:
    """A recogniser that fails as it is told."""

    name = "broken"
    kinds = ("badge",)

    def __init__(self, fail):
        """Fail so."""
        self.fail = fail

    def find(self, text):
        """Fail at whatever holds an address."""
        return self.fail() if "@" in text else []


def interrupted():
    """Raise what no `except Exception` catches."""
    raise SystemExit(3)


@pytest.mark.parametrize(
    "fail",
    [
        interrupted,
        lambda: 7,
        lambda: ["badge"],
        lambda: [("0", "9", "badge")],
        lambda: [(0, 9, 7)],
        lambda: None,
    ],
    ids=["exits", "number", "text", "texts", "no kind", "none"],
)
def test_a_recogniser_that_breaks_its_promise_costs_the_part(tmp_path, run, fail):
    """Whatever a recogniser does, the agent goes on, no plain text is written, and doctor and show tell of it."""
    auditlog.configure(tmp_path / "audit", redact=Redactor(recognisers=[Broken(fail)]))
    with auditlog.conversation("case-1"):
        assert f"dear {MAIL}" == auditlog.agent("bot")(lambda text: f"dear {text}")(MAIL)
    auditlog.shutdown()
    assert b"anna." not in everything_in(tmp_path / "audit")
    doctor = run("doctor", "--store", "audit")
    assert "lacking a part that could not be redacted" in " ".join(doctor.output.split())
    assert 1 == doctor.exit_code
    shown = run("show", "case-1", "--store", "audit").output
    assert "redacted: a part that could not be redacted was not written" in shown


def test_a_recogniser_that_hangs_costs_one_wait(tmp_path):
    """A recogniser that never answers is waited for once, for a bounded time, and no plain text is written."""
    release = threading.Event()
    redactor = Redactor(recognisers=[Broken(lambda: release.wait(60) and [])], timeout=0.2)
    auditlog.configure(tmp_path / "audit", redact=redactor)
    bot = auditlog.agent("bot")(lambda text: text)
    began = time.monotonic()
    for _ in range(50):
        bot(MAIL)
    # Fifty waits would be ten seconds, and more.
    assert 5 > time.monotonic() - began
    release.set()
    auditlog.shutdown()
    assert b"anna." not in everything_in(tmp_path / "audit")
    assert redactor.faults >= 100


def test_init_turns_redaction_on_for_whoever_records(tmp_path, run):
    """`init --redact` writes the setting, and a recorder that says nothing of redaction obeys it."""
    assert 0 == run("init", "audit", "--redact").exit_code
    assert "redact = true" in (tmp_path / "audit" / "store.toml").read_text()
    assert "says already: redact = true" in run("init", "audit", "--redact").stderr
    auditlog.configure(tmp_path / "audit")
    with auditlog.conversation("case-1"):
        auditlog.agent("bot")(lambda text: text)(f"I am {MAIL}, 4111 1111 1111 1111")
    auditlog.shutdown()
    assert b"anna." not in everything_in(tmp_path / "audit")
    assert "redacted: 2 cards, 2 emails" in run("show", "case-1", "--store", "audit").output
    assert "kinds of values, tokens by key" in " ".join(run("doctor", "--store", "audit").output.split())


def test_init_turns_redaction_on_in_a_store_that_is_there(tmp_path, run):
    """A store that says nothing gets the setting and keeps all else; one that says no is left alone, with an error."""
    run("init", "audit")
    before = layout.read_settings(layout.find(tmp_path / "audit"))
    assert 0 == run("init", "audit", "--redact").exit_code
    assert before == layout.read_settings(layout.find(tmp_path / "audit"))
    settings = tmp_path / "audit" / "store.toml"
    settings.write_text(settings.read_text().replace("redact = true", "redact = false"))
    refused = run("init", "audit", "--redact")
    assert refused.exit_code
    assert "redact = false" in refused.stderr


@pytest.mark.parametrize(
    "written",
    [
        "[ redaction ]\nredact = true",
        'redaction = {redact = ["email"]}',
        "redaction.redact = true",
    ],
)
def test_a_setting_counts_however_toml_writes_it(tmp_path, written):
    """Every spelling of the table `redaction` turns redaction on."""
    found = layout.ensure(tmp_path / "audit")
    text = found.settings.read_text()
    found.settings.write_text(
        f"{written}\n{text}" if "=" in written.split("\n")[0] else f"{text}\n{written}\n"
    )
    auditlog.configure(tmp_path / "audit")
    auditlog.agent("bot")(lambda text: text)(MAIL)
    auditlog.shutdown()
    assert b"anna." not in everything_in(tmp_path / "audit")


def test_doctor_tells_what_keeps_redaction_from_working(tmp_path, run):
    """A recogniser that no package offers, a kind that is none, and a damaged key are told, and nothing is changed."""
    found = layout.ensure(tmp_path / "audit")
    text = found.settings.read_text()
    for table, said in (
        ('redact = ["emial"]', "'emial' is no kind"),
        ('recognisers = ["nmes"]', "store.toml names nmes"),
        ("redact = false", "says that nothing is redacted"),
        ("redact = true", "is made when recording begins"),
    ):
        found.settings.write_text(f"{text}\n[redaction]\n{table}\n")
        assert said in " ".join(run("doctor", "--store", "audit").output.split())
    assert not key_path(found).exists()
    key_path(found).parent.mkdir(exist_ok=True)
    key_path(found).write_text("x")
    assert "is damaged" in " ".join(run("doctor", "--store", "audit").output.split())
