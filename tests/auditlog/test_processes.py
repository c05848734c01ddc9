"""Real processes record into one store: forked, spawned, pre-forked, and in pools."""

import os
import subprocess
import sys
import textwrap

import pytest

from auditlog.store import Store


def run(tmp_path, program, *args, **environment):
    """Run a program that records, in a process of its own; give its spans by name, and what it printed."""
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(program))
    store = tmp_path / "audit"
    done = subprocess.run(
        [sys.executable, str(script), *args],
        env={**os.environ, "AUDITLOG_STORE": str(store), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    with Store.open(store) as opened:
        rows = opened.query("SELECT * FROM spans ORDER BY start_ns").to_pylist()
    return rows, done.stdout


def shape(rows):
    """Give (name, parent's name, status) of every span."""
    names = {row["span_id"]: row["name"] for row in rows}
    return sorted((row["name"], names.get(row["parent_span_id"]), row["status"]) for row in rows)


def test_a_fork_inside_a_turn_ends_the_turn_once(tmp_path):
    """A child that comes back through its parent's agent call records its own calls below it, and no second end."""
    rows, _ = run(
        tmp_path,
        """
        import os, auditlog

        @auditlog.tool
        def work(who): return who

        @auditlog.agent("bot")
        def bot():
            child = os.fork()
            work("child" if child == 0 else "parent")
            return child

        child = bot()
        if child:
            os.waitpid(child, 0)
        auditlog.shutdown()
        """,
    )
    assert [("bot", None, "ok"), ("work", "bot", "ok"), ("work", "bot", "ok")] == shape(rows)
    assert 1 == len({row["turn_id"] for row in rows})
    assert 3 == len({row["span_id"] for row in rows})


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_records_in_every_way_to_start(tmp_path, method):
    """Processes of `multiprocessing` record into the store that the environment names, each into its own journal."""
    rows, _ = run(
        tmp_path,
        """
        import multiprocessing, sys, auditlog

        @auditlog.tool
        def work(n): return n

        @auditlog.agent("bot")
        def bot(context):
            workers = [context.Process(target=work, args=(n,)) for n in range(2)]
            for worker in workers: worker.start()
            for worker in workers: worker.join()

        if __name__ == "__main__":
            bot(multiprocessing.get_context(sys.argv[1]))
        """,
        method,
    )
    # Only a fork takes the context along.
    parent = "bot" if method == "fork" else None
    assert [("bot", None, "ok"), ("work", parent, "ok"), ("work", parent, "ok")] == shape(rows)
    assert 3 == len(list((tmp_path / "audit" / "journal").glob("*.wal")))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_propagate_reaches_a_pool_of_processes(tmp_path, method):
    """Tasks of a propagating process pool are children of the call that submitted them, in its conversation and turn."""
    rows, out = run(
        tmp_path,
        """
        import multiprocessing, sys
        from concurrent.futures import ProcessPoolExecutor
        import auditlog

        @auditlog.tool
        def work(n): return n * 2

        @auditlog.agent("bot")
        def bot(pool):
            return list(pool.map(work, [1, 2]))

        if __name__ == "__main__":
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(sys.argv[1])) as pool:
                with auditlog.conversation("c7", user="u"):
                    print(bot(auditlog.propagate(pool)))
        """,
        method,
    )
    assert "[2, 4]" == out.strip()
    assert [("bot", None, "ok"), ("work", "bot", "ok"), ("work", "bot", "ok")] == shape(rows)
    assert {("c7", rows[0]["span_id"])} == {(row["conversation_id"], row["turn_id"]) for row in rows}


def test_a_pre_forking_server_loses_and_doubles_nothing(tmp_path):
    """Workers that were forked after the master had configured and recorded record whole turns, killed politely or not."""
    rows, _ = run(
        tmp_path,
        """
        import os, signal, sys, time, auditlog

        @auditlog.tool
        def work(n): return n

        @auditlog.agent("bot")
        def bot(n): return work(n)

        auditlog.configure(os.environ["AUDITLOG_STORE"])
        bot("master")
        ready, tell = os.pipe()
        workers = []
        for number in range(3):
            worker = os.fork()
            if worker == 0:
                signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
                # Whoever runs this may have it ignored, as `nohup` does.
                signal.signal(signal.SIGHUP, signal.SIG_DFL)
                for n in range(20):
                    bot(f"{number}-{n}")
                os.write(tell, b"x")
                time.sleep(30)
            workers.append(worker)
        for _ in workers:
            os.read(ready, 1)
        os.kill(workers[0], signal.SIGTERM)
        os.kill(workers[1], signal.SIGKILL)
        os.kill(workers[2], signal.SIGHUP)
        for worker in workers:
            os.waitpid(worker, 0)
        """,
    )
    assert [("bot", None, "ok")] * 61 + [("work", "bot", "ok")] * 61 == shape(rows)
    assert 122 == len({row["span_id"] for row in rows})
    assert 4 == len(list((tmp_path / "audit" / "journal").glob("*.wal")))


def test_a_disabled_sdk_records_all(tmp_path):
    """With OTEL_SDK_DISABLED in the environment and a provider set, every call is recorded, with its own ids."""
    rows, _ = run(
        tmp_path,
        """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        import auditlog

        trace.set_tracer_provider(TracerProvider())

        @auditlog.tool
        def work(n): return n

        @auditlog.agent("bot")
        def bot():
            with trace.get_tracer("app").start_as_current_span("between"):
                return work(1) + work(2)

        bot()
        """,
        OTEL_SDK_DISABLED="true",
    )
    assert [("bot", None, "ok"), ("work", "bot", "ok"), ("work", "bot", "ok")] == shape(rows)


@pytest.mark.parametrize("sampler", ["always_off", "parentbased_always_off", "traceidratio"])
def test_a_sampler_that_drops_everything_loses_nothing(tmp_path, sampler):
    """With a sampler that drops every span, the recording is whole, and its ids are those of the spans that were dropped."""
    rows, _ = run(
        tmp_path,
        """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        import auditlog

        trace.set_tracer_provider(TracerProvider())
        seen = []

        @auditlog.tool
        def work(n):
            seen.append(trace.get_current_span().get_span_context().span_id)

        @auditlog.agent("bot")
        def bot(): work(1)

        bot()
        assert not trace.get_tracer("x").start_span("y").is_recording()
        print(f"{seen[0]:016x}")
        """,
        OTEL_TRACES_SAMPLER=sampler,
        OTEL_TRACES_SAMPLER_ARG="0",
    )
    assert [("bot", None, "ok"), ("work", "bot", "ok")] == shape(rows)
