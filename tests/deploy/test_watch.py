"""What was lost or doubled is counted from Slack's side, and cannot be missed."""

from typing import Any

from deploy.watch import count_events


def answer(thread_ts: str, ts: str) -> dict[str, Any]:
    receipt = {"event_type": "mynah_outbox", "event_payload": {"id": 1, "mode": "quoted"}}
    return {"ts": ts, "thread_ts": thread_ts, "metadata": receipt}


def state(*messages: dict[str, Any], unacked: int = 0) -> dict[str, Any]:
    deliveries = [{"acked": False}] * unacked + [{"acked": True}]
    return {
        "messages": {"C0HELP": list(messages)},
        "deliveries": deliveries,
        "counts": {"delivered": len(deliveries)},
    }


def test_a_question_without_an_answer_is_lost() -> None:
    """Two asked, one answered: one is lost."""
    found = count_events(state(answer("1.0", "1.1")), ["1.0", "2.0"])
    assert found == {"delivered": 1, "lost": 1, "duplicated": 0}


def test_a_question_with_two_answers_is_duplicated() -> None:
    """Two answers in one thread that was asked once count; other posts of the bot do not."""
    notice = {"ts": "1.3", "thread_ts": "1.0", "metadata": {"event_payload": {"id": 9}}}
    found = count_events(state(answer("1.0", "1.1"), answer("1.0", "1.2"), notice), ["1.0"])
    assert found == {"delivered": 1, "lost": 0, "duplicated": 1}


def test_an_event_that_was_never_acknowledged_is_lost() -> None:
    """Also when nobody waits for an answer to it."""
    assert count_events(state(unacked=1), [])["lost"] == 1
