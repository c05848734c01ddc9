"""Runs, Diff list and Diff on a real run of the sample agent."""

import re
import shutil

from auditlog.store import Store
from tui.lines import LineView
from tui.screens.diff import DiffScreen
from tui.screens.diff_list import DiffListScreen


async def test_from_the_runs_to_a_difference(sample_store, app_on, until):
    """R lists the runs with what they found, enter opens one, and enter on a case its difference."""
    async with app_on(sample_store).run_test(size=(130, 40)) as pilot:
        await until(pilot, "case-")
        await pilot.press("r")
        text = await until(pilot, "✓ complete")
        assert "examples.support_bot:v2" in text
        await pilot.press("enter")
        text = await until(pilot, "blocked issue_refund")
        assert "behave differently" in text
        assert "Noise: the baseline, run again" in text
        await pilot.press("j", "enter")
        await until(pilot, "▼ first divergence")


async def test_groups_stand_worst_first_and_unchanged_cases_are_hidden(sample_store, app_on, until):
    """The blocked write comes first, each group has its cases, and u shows what stayed the same."""
    async with app_on(sample_store, run_id="last").run_test(size=(130, 60)) as pilot:
        text = await until(pilot, "blocked issue_refund")
        headings = re.findall(r"▾ (.+?)  \d+ case", text)
        assert headings[0] == "blocked issue_refund"
        assert set(headings) >= {
            "missing escalate_to_human",
            "extra look_up_order",
            "arguments search_articles /query",
        }
        assert "unchanged cases hidden" in text
        assert "= identical" not in text
        await pilot.press("u")
        await until(pilot, "= identical")


async def test_counts_add_up(sample_store, app_on, until):
    """The five counts of the verdict add up to the cases of the run."""
    async with app_on(sample_store, run_id="last").run_test(size=(130, 60)) as pilot:
        text = await until(pilot, "worded differently")
        numbers = re.findall(
            r"(?:same|worded differently|behaved differently|unmatched|errored|unstable) (\d+)", text
        )
        screen = pilot.app.screen
        assert isinstance(screen, DiffListScreen)
        assert sum(map(int, numbers)) == len(screen.report.cases)
        assert len(numbers) == 5


async def test_accepting_is_shown_and_ends_with_the_screen(sample_store, app_on, until):
    """X accepts a case and X a group; both say that it lasts as long as the screen."""
    async with app_on(sample_store, run_id="last").run_test(size=(130, 60)) as pilot:
        await until(pilot, "blocked issue_refund")
        await pilot.press("j", "x")
        text = await until(pilot, "✓ 1 accepted, until this screen closes")
        assert "✓ accepted ⊘ blocked" in text
        await pilot.press("q", "r")
        await until(pilot, "✓ complete")
        await pilot.press("enter")
        assert "accepted" not in await until(pilot, "blocked issue_refund")


async def test_groups_fold(sample_store, app_on, until):
    """Z folds the group that the cursor is in, and unfolds it again."""
    async with app_on(sample_store, run_id="last").run_test(size=(130, 60)) as pilot:
        await until(pilot, "⊘ blocked")
        await pilot.press("j", "z")
        text = await until(pilot, "▸ blocked issue_refund")
        assert "⊘ blocked" not in text
        await pilot.press("z")
        await until(pilot, "⊘ blocked")


async def test_export_writes_markdown(sample_store, app_on, until, own_directory):
    """E writes the run's differences as Markdown into a new file that only its owner reads."""
    async with app_on(sample_store, run_id="last").run_test(size=(130, 40), notifications=True) as pilot:
        await until(pilot, "blocked issue_refund")
        await pilot.press("e")
        await until(pilot, "Written to")
    (written,) = own_directory.glob("replay-*.md")
    assert "issue_refund" in written.read_text()
    assert written.stat().st_mode & 0o777 == 0o600


async def open_case(pilot, until, sample_store, conversation):
    """Open a case of the sample run by its conversation."""
    await until(pilot, "blocked issue_refund")
    case = next(
        c
        for c in pilot.app.screen.report.cases
        if c.conversation_id == conversation and c.diff.behaves_differently
    )
    await pilot.app.push_screen(DiffScreen.of_cases(pilot.app.screen.report.cases, case, "last"))
    await until(pilot, "first divergence")
    return case


async def test_a_diff_opens_at_its_first_divergence(sample_store, app_on, until, sample_cases):
    """The cursor is on the first divergence, what follows is one folded line, and the findings stand above."""
    async with app_on(sample_store, run_id="last").run_test(size=(130, 40)) as pilot:
        case = await open_case(pilot, until, sample_store, sample_cases["blocked"])
        text = await until(pilot, "follows from it: z unfolds")
        view = pilot.app.screen.query_one(LineView)
        assert view.rows.key(view.cursor) == f"step/{case.diff.first_divergence}"
        assert "⚑ new write" in text
        assert "[blocked]" in text
        await pilot.press("z")
        text = await until(pilot, "¶ answer")
        assert "z unfolds" not in text


async def test_side_by_side_needs_room(sample_store, app_on, until, sample_cases):
    """At 130 columns both stand side by side; s, or a narrow window, sets one below the other."""
    async with app_on(sample_store, run_id="last").run_test(size=(130, 40)) as pilot:
        await open_case(pilot, until, sample_store, sample_cases["arguments"])
        line = next(part for part in (await until(pilot, "≠")).splitlines() if "- /query" in part)
        assert "+ /query" in line
        await pilot.press("s")
        await pilot.pause()
        line = next(part for part in (await until(pilot, "- /query")).splitlines() if "- /query" in part)
        assert "+ /query" not in line


async def test_arms_can_be_switched(sample_store, app_on, until, sample_cases):
    """B compares the candidate with the recording, then the recording with the baseline."""
    async with app_on(sample_store, run_id="last").run_test(size=(130, 40)) as pilot:
        await open_case(pilot, until, sample_store, sample_cases["missing"])
        await until(pilot, "baseline → candidate")
        await pilot.press("b")
        await until(pilot, "recorded → candidate")
        await pilot.press("b")
        text = await until(pilot, "recorded → baseline")
        assert "first divergence" not in text
        await pilot.press("b")
        await until(pilot, "baseline → candidate")


async def test_a_write_that_was_stopped_is_blocked_beside_the_recording_too(
    sample_store, app_on, until, sample_cases
):
    """Compared with the recording, a case that ended at a blocked write is blocked, and not an agent that failed."""
    async with app_on(sample_store, run_id="last").run_test(size=(130, 40)) as pilot:
        await open_case(pilot, until, sample_store, sample_cases["blocked"])
        await pilot.press("b")
        text = await until(pilot, "recorded → candidate")
        assert "⊘ blocked" in text
        assert "errored" not in text


async def test_words_are_marked_without_colour(sample_store, app_on, until, sample_cases):
    """An answer that is worded differently shows what went and what came by signs."""
    async with app_on(sample_store, run_id="last").run_test(size=(100, 40)) as pilot:
        await until(pilot, "blocked issue_refund")
        case = next(c for c in pilot.app.screen.report.cases if c.diff.case_class == "cosmetic")
        await pilot.app.push_screen(DiffScreen.of_cases([case], case, "last"))
        text = await until(pilot, "worded differently")
        assert "{+Happy to help with that!+}" in text


async def test_brackets_go_from_case_to_case(sample_store, app_on, until):
    """] shows the next case of the list, [ the one before."""
    async with app_on(sample_store, run_id="last").run_test(size=(130, 40)) as pilot:
        await until(pilot, "blocked issue_refund")
        await pilot.press("j", "enter")
        total = len(pilot.app.screen_stack[-2].cases())
        await until(pilot, f"1/{total}")
        await pilot.press("]")
        await until(pilot, f"2/{total}")
        await pilot.press("[")
        await until(pilot, f"1/{total}")


async def test_a_run_that_is_not_there_is_a_sentence(sample_store, app_on, until):
    """A run that does not exist is said with the nearest, and the screen stays usable."""
    with Store.open(sample_store) as store:
        known = store.query(
            "SELECT any_value(replay_run_id) AS run FROM all_spans WHERE replay_run_id IS NOT NULL"
        )
        run = known.column("run")[0].as_py()
    async with app_on(sample_store, run_id=run[:-1] + "~").run_test(size=(130, 40)) as pilot:
        text = await until(pilot, "Nothing to show")
        assert run in text
        await pilot.press("q")
        await until(pilot, "Conversations")


async def test_a_case_shows_what_scorers_found(sample_store, app_on, until, tmp_path):
    """A scored run's case tells which scorer found what, and which were content."""
    from replay.scorers.scoring import score_run

    path = shutil.copytree(sample_store, tmp_path / "audit")
    with Store.open(path) as store:
        score_run(store, "last", ["no_forbidden_write", "no_forbidden_promise", "grounded"], workers=1)
    async with app_on(path, run_id="last").run_test(size=(130, 60)) as pilot:
        await until(pilot, "blocked issue_refund")
        await pilot.press("j", "enter")
        text = await until(pilot, "score no_forbidden_write (hard)")
        assert "candidate 0" in text
