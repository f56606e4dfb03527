"""The alerts, the example of what to scrape, and the dashboard: loaded, and about what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import Engine

from bot.census import Census
from bot.figures import Figures
from bot.store.database import transaction
from tests.deploy.learned import base_release
from tests.deploy.promtool import promtool
from training import health

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "mynah.json"
# What Grafana puts in place of these.
VARIABLES = {"$team": "T0|T1", "$__rate_interval": "1m", "${datasource}": "prometheus"}
NOT_OURS = {"up"}
MINUTES = 60 * 24 * 8


@dataclass(frozen=True)
class Case:
    """Series a minute apart (Prometheus's notation) with which an alert fires, and does not."""

    fires: dict[str, str]
    quiet: dict[str, str]
    minutes: int = 30


QUESTIONS, STORE = 'mynah_store_queue_age_seconds{queue="questions"}', "mynah_store"
LIVE = '{team="T0",release="v2",adapter="mynah-1"}'
HANDLED = 'mynah_handled_total{queue="questions",outcome="%s"}'
FEEDBACK = 'mynah_store_feedback{team="T0",adapter="%s",kind="%s"}'
FAIL, PASS = (f'mynah_store_verdicts{{verdict="{one}"}}' for one in ("fail", "pass"))
BACK = 'mynah_store_rollouts{team="T0",action="roll_back",instance="%s"}'
CASES = {
    "MynahBotDown": Case(
        {'up{job="mynah-bot"}': "0x60"},
        {'up{job="mynah-bot",instance="a"}': "0x60", 'up{job="mynah-bot",instance="b"}': "1x60"},
    ),
    "MynahStoreAway": Case(
        {'mynah_store_up{instance="a"}': "1x60", 'mynah_store_up{instance="b"}': "0x60"},
        {'mynah_store_up{instance="a"}': "1x60"},
    ),
    "MynahQuestionsWait": Case({QUESTIONS: "0+60x60"}, {QUESTIONS: "100x60"}),
    "MynahQueueStuck": Case(
        {'mynah_store_queue_age_seconds{queue="outbox"}': "0+60x60"},
        {'mynah_store_queue_age_seconds{queue="outbox"}': "0 130 0x58"},
    ),
    "MynahNoServer": Case(
        {'mynah_store_replicas{state="up"}': "0x60", 'mynah_store_replicas{state="down"}': "2x60"},
        # They rest for a training.
        {'mynah_store_replicas{state="up"}': "1x20 0x40", "mynah_servers_resting": "0x20 1x40"},
    ),
    "MynahServerDown": Case(
        {'mynah_replica_healthy{url="http://a"}': "0x60"},
        # Two workers: the one that stands by does not look.
        {
            'mynah_replica_healthy{url="http://a",instance="a"}': "0x60",
            'mynah_replica_healthy{url="http://a",instance="b"}': "1x60",
        },
    ),
    "MynahServerCorrupted": Case(
        {'mynah_replica_corrupted{url="http://a"}': "0x20 1x40"},
        {
            'mynah_replica_corrupted{url="http://a"}': "0x60",
            'mynah_replica_failed_probes{url="http://a"}': "1x60",
        },
    ),
    "MynahReleaseWithoutServer": Case(
        {f"{STORE}_release_replicas{LIVE}": "0x60", f"{STORE}_release_share{LIVE}": "1x60"},
        {f"{STORE}_release_replicas{LIVE}": "0x60", f"{STORE}_release_share{LIVE}": "0x60"},
    ),
    "MynahNoWorker": Case(
        {'mynah_worker_active{instance="a"}': "0x60"},
        {'mynah_worker_active{instance="a"}': "0x60", 'mynah_worker_active{instance="b"}': "1x60"},
    ),
    # It fires once for each roll back, however many bots tell of it.
    "MynahRolledBack": Case(
        {BACK % "a": "0x20 1x40", BACK % "b": "0x21 1x40"}, {BACK % "a": "1x60", BACK % "b": "1x60"}
    ),
    "MynahGateRefuses": Case(
        {FAIL: f"0x600 3x{MINUTES}", PASS: f"1x{MINUTES + 600}"},
        {FAIL: f"0x600 3x{MINUTES}", PASS: f"1x9000 2x{MINUTES}"},
        minutes=7 * 24 * 60 + 300,
    ),
    "MynahRunFailed": Case(
        {'mynah_store_runs{status="failed"}': "0x70 1x60"},
        {'mynah_store_runs{status="failed"}': "1x150"},
        minutes=90,
    ),
    "MynahErrors": Case(
        {HANDLED % "done": "0+9x60", HANDLED % "error": "0+1x60"},
        {HANDLED % "done": "0+99x60", HANDLED % "waiting": "0+99x60", HANDLED % "error": "0+1x60"},
    ),
    "MynahGaveUp": Case(
        {'mynah_store_given_up{queue="outbox"}': "4x70 5x60"},
        {'mynah_store_given_up{queue="outbox"}': "4x150"},
        minutes=90,
    ),
    "MynahSlowAnswers": Case(
        {f'mynah_answer_seconds_bucket{{le="{le}"}}': f"0+{each}x60"
         for le, each in (("30", 8), ("60", 10), ("+Inf", 10))},
        {f'mynah_answer_seconds_bucket{{le="{le}"}}': f"0+{each}x60"
         for le, each in (("30", 98), ("60", 100), ("+Inf", 100))},
    ),
    "MynahRejected": Case(
        # The adapter of that day is a new one: what is told of it begins within the day.
        {FEEDBACK % ("mynah-1", "reject"): "5x3000", FEEDBACK % ("mynah-1", "approve"): "90x3000",
         FEEDBACK % ("mynah-2", "reject"): "_x2000 12x1000"},
        {FEEDBACK % ("mynah-1", "reject"): "0x2000 12x1000",
         FEEDBACK % ("mynah-1", "approve"): "0x2000 13x1000"},
        minutes=2100,
    ),
    "MynahDiskFull": Case(
        {"mynah_disk_free_bytes": "1e9x60", "mynah_disk_bytes": "1e12x60"},
        {"mynah_disk_free_bytes": "5e10x60", "mynah_disk_bytes": "5e11x60"},
    ),
}  # fmt: skip


def alerts() -> list[dict[str, Any]]:
    """Every rule."""
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    return list(group["rules"])


def dashboard() -> dict[str, Any]:
    """What Grafana loads."""
    return dict(json.loads(DASHBOARD.read_text()))


def shown() -> Iterator[str]:
    """Every expression of the dashboard, as Grafana sends it."""
    page = dashboard()
    queries = [target for panel in page["panels"] for target in panel.get("targets", ())]
    for one in (*queries, *page["annotations"]["list"]):
        expression = one["expr"]
        for variable, value in VARIABLES.items():
            expression = expression.replace(variable, value)
        yield expression


@pytest.fixture
def told(engine: Engine, tmp_path: Path) -> str:
    """What a bot and a worker tell Prometheus."""
    with transaction(engine) as session:
        base_release(session)
    store = CollectorRegistry()
    store.register(Census(engine))
    registries = (store, Figures().registry, health.Figures(tmp_path).registry)
    return "".join(generate_latest(one).decode() for one in registries)


@pytest.fixture
def names(told: str) -> set[str]:
    """What can be asked for."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", told, re.M))
    parts = {f"{one}_{end}" for one in kinds for end in ("bucket", "count", "sum")
             if kinds[one] == "histogram"}  # fmt: skip
    return set(kinds) | parts


def test_what_is_told_is_as_prometheus_wants_it(told: str) -> None:
    """Names, units and help texts by its own linter."""
    promtool("check", "metrics", told=told)


def test_the_example_loads_with_the_alerts() -> None:
    """The configuration and the rules that it names."""
    said = promtool("check", "config", "--syntax-only", str(DEPLOY / "prometheus/prometheus.yml"))
    assert f"{len(alerts())} rules found" in promtool("check", "rules", str(ALERTS)), said


@pytest.mark.parametrize("source", ["alerts", "dashboard"])
def test_nothing_asks_for_what_nobody_tells(source: str, names: set[str]) -> None:
    """Each name in an expression is one that a bot or a worker has."""
    found = [one["expr"] for one in alerts()] if source == "alerts" else list(shown())
    assert len(found) >= len(CASES)
    asked = {
        name for one in found for name in re.findall(r"\b(?:mynah_\w+|up)\b(?=[{)\[ ]|$)", one)
    }
    assert asked - NOT_OURS <= names


def test_all_that_is_told_is_shown_or_watched(names: set[str], told: str) -> None:
    """A figure that nobody looks at is one too many."""
    asked = "\n".join((*shown(), *(one["expr"] for one in alerts())))
    families = set(re.findall(r"^# TYPE (mynah_\w+) (?!.*_created)", told, re.M))
    unseen = {one for one in families if one not in asked and not one.endswith("_created")}
    assert unseen == set()


def test_every_expression_of_the_dashboard_is_one(tmp_path: Path) -> None:
    """Prometheus's own parser reads them."""
    rules = [{"record": f"panel:{n}", "expr": one} for n, one in enumerate(shown())]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(file))


def test_the_dashboard_is_one_of_grafanas() -> None:
    """Its own types (PyPI's grafana-foundation-sdk) read it, and leave nothing of it out."""
    kit = pytest.importorskip("grafana_foundation_sdk.models.dashboard")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins

    register_default_plugins()
    page = dashboard()
    understood = json.loads(JSONEncoder(sort_keys=True).encode(kit.Dashboard.from_json(page)))
    assert list(_left_out(page, understood, "")) == []


def test_the_panels_lie_beside_each_other() -> None:
    """None covers another, and none sticks out."""
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        here = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not here & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= here
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))


def test_every_alert_says_what_to_do() -> None:
    """A summary, a description in words, and how urgent it is."""
    for one in alerts():
        assert one["labels"]["severity"] in ("page", "ticket")
        assert len(one["annotations"]["description"].split()) > 15, one["alert"]
        assert one["annotations"]["summary"]
    assert {one["alert"] for one in alerts()} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_when_it_should(name: str, tmp_path: Path) -> None:
    """And with the other series it is quiet."""
    case = CASES[name]
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": one, "values": all_} for one, all_ in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) > 0',
                    "eval_time": f"{case.minutes}m",
                    "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                }
            ],
        }
        for series, fires in ((case.fires, True), (case.quiet, False))
    ]
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "tests": tests}))
    promtool("test", "rules", str(file))


def _left_out(whole: Any, part: Any, path: str) -> Iterator[str]:
    """Where `whole` says something that `part` does not."""
    if isinstance(whole, dict):
        for key, value in whole.items():
            if not isinstance(part, dict) or key not in part:
                if value not in (None, {}, [], ""):
                    yield f"{path}/{key}"
            else:
                yield from _left_out(value, part[key], f"{path}/{key}")
    elif isinstance(whole, list) and len(whole) == len(part):
        for number, value in enumerate(whole):
            yield from _left_out(value, part[number], f"{path}/{number}")
    elif whole != part:
        yield f"{path}: {whole!r} became {part!r}"
