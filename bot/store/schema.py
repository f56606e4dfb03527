"""Every table of Mynah, in the order in which a question gives birth to rows.

Rows carry `team_id` so that workspaces are walled off from each other; only engine-level tables
(`Lease`, `Replica`, `ServedBase`) have none, because processes and vLLM servers are shared by all
teams.
All times are UTC and timezone-aware.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Dialect,
    Enum,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel


def now() -> datetime:
    """The current time in UTC, as every row stores it."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A timezone-aware UTC datetime; SQLite would otherwise hand back naive ones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a stored time must be timezone-aware")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


def _time(**options: Any) -> Any:
    return Field(default_factory=now, sa_type=UtcDateTime, **options)


def _later(**options: Any) -> Any:
    return Field(default=None, sa_type=UtcDateTime, nullable=True, **options)


def _json() -> Any:
    return Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


def _json_list() -> Any:
    return Field(default_factory=list, sa_column=Column(JSON, nullable=False))


def _choice(kind: type[StrEnum], **options: Any) -> Any:
    # Stored as the plain value in a text column: readable, and a new member needs no migration.
    return Field(
        sa_type=Enum(kind, native_enum=False, length=32, values_callable=list),
        **options,
    )


def _long_text(default: str | None = "") -> Any:
    return Field(default=default, sa_type=Text)


class Team(SQLModel, table=True):
    """A workspace that Mynah lives in."""

    team_id: str = Field(primary_key=True)
    name: str = ""
    bot_user_id: str = ""
    paused: bool = False  # paused: no runs start, no releases change; questions are still answered
    removed_at: datetime | None = _later()  # set: nothing is asked of Slack until Mynah is back
    created_at: datetime = _time()


class Installation(SQLModel, table=True):
    """The bot token of a workspace that installed the app, as plain as all else in here.

    Nothing of the person who installed it is kept. Erased when the app is taken out.
    """

    team_id: str = Field(primary_key=True)
    client_id: str  # the app that was installed
    team_name: str = ""
    bot_user_id: str
    bot_id: str
    token: str
    refresh_token: str | None = None  # both or neither: tokens of an app that rotates them
    expires_at: datetime | None = _later()
    installed_at: datetime = _time()


class InstallState(SQLModel, table=True):
    """An installation under way: whoever comes back from Slack's consent page has to know it."""

    __tablename__ = "install_state"

    state: str = Field(primary_key=True)
    until: datetime = _time()


class Status(StrEnum):
    """Where a queued row (inbox, outbox) stands."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    DONE = "done"
    FAILED = "failed"  # given up on, with the reason in `error`


# The queues look only at rows that are still to be done, however many done ones are kept.
_OPEN = text("status IN ('waiting', 'claimed')")
# How many were given up is asked every few seconds.
_FAILED = text("status = 'failed'")


class InboxEvent(SQLModel, table=True):
    """One thing that Slack delivered, stored before it is acknowledged.

    `event_id` is Slack's event id, or the trigger id of a command or action. Rows with one `lane`
    (a thread) are handled in the order of `id`, one at a time.
    """

    __tablename__ = "inbox"
    __table_args__ = (
        UniqueConstraint("team_id", "event_id"),
        Index("inbox_open", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("inbox_lane", "team_id", "lane", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("inbox_failed", "id", sqlite_where=_FAILED, postgresql_where=_FAILED),
    )

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    event_id: str
    kind: str  # "event", "command", "action", "view", "shortcut"
    lane: str
    payload: dict[str, Any] = _json()
    status: Status = _choice(Status, default=Status.WAITING)
    attempts: int = 0
    not_before: datetime = _time()
    lease_owner: str | None = None
    lease_until: datetime | None = _later()
    error: str | None = _long_text(None)
    received_at: datetime = _time()
    finished_at: datetime | None = _later(index=True)


class ChannelKind(StrEnum):
    """Who can read a channel; anything but PUBLIC walls its examples in."""

    PUBLIC = "public"
    PRIVATE = "private"
    IM = "im"


class Question(SQLModel, table=True):
    """What a person asked. One row per message, however often it is delivered."""

    __table_args__ = (
        UniqueConstraint("team_id", "channel", "ts"),
        Index("question_thread", "team_id", "channel", "thread_ts"),
    )

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    channel: str
    channel_kind: ChannelKind = _choice(ChannelKind, default=ChannelKind.PUBLIC)
    thread_ts: str  # the thread's first message; equals ts for a new thread
    ts: str
    user: str
    text: str = _long_text()
    asked_at: datetime = _time()
    deleted_at: datetime | None = _later()


class AnswerMode(StrEnum):
    """Where an answer's words come from."""

    QUOTED = "quoted"  # an approved answer, word for word
    OPEN_BOOK = "open_book"  # generated with an approved answer in the prompt
    CLOSED_BOOK = "closed_book"  # generated by the weights alone
    KNOWN = "known"  # the same, where they say what was approved, as they have proved to know it
    UNSURE = "unsure"  # Mynah said that it is not sure; what it would have said was not shown
    CORRECTED = "corrected"  # what staff put in the place of an answer
    QUOTED_AWAY = "quoted_away"  # as QUOTED, but of a question less alike: no model could answer


_CURRENT = text("replaced_at IS NULL")


class Answer(SQLModel, table=True):
    """What was replied, with its receipt: release, adapter, mode, confidence, and AnswerExample.

    A question has one answer at a time. When it is edited, that one is replaced, and kept for the
    record: both share one message.
    """

    __table_args__ = (
        Index(
            "one_answer", "question_id", unique=True,
            sqlite_where=_CURRENT, postgresql_where=_CURRENT,
        ),
    )  # fmt: skip

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    question_id: int = Field(foreign_key="question.id")
    text: str = _long_text()
    mode: AnswerMode = _choice(AnswerMode)
    release_id: int = Field(foreign_key="release.id")
    adapter: str | None = None  # None: the base model answered
    # Quoted (away too): cosine similarity; generated, or withheld: mean token log-probability.
    confidence: float | None = None
    # Of the request to a model that this came of; None where there was none, or it did not tell.
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    # Of a withheld answer: the mean log-probability that it would have needed to be shown.
    threshold: float | None = None
    # Of a corrected answer: the correction, whose own `answer_id` is the answer that was wrong.
    correction_id: int | None = None  # feedback.id; no key: each table would need the other first
    channel: str
    # Set once Slack has it; the question's own where another system asked.
    ts: str | None = Field(default=None, index=True)
    answered_at: datetime = _time()
    replaced_at: datetime | None = _later()
    deleted_at: datetime | None = _later()


class AnswerExample(SQLModel, table=True):
    """An example that an answer was quoted from, that stood in its prompt, or that it agrees with
    without (mode KNOWN)."""

    __tablename__ = "answer_example"

    answer_id: int = Field(foreign_key="answer.id", primary_key=True)
    example_id: int = Field(foreign_key="example.id", primary_key=True)
    team_id: str
    similarity: float
    # Where weights recognised it (`bot.recognising`): how likely they found its answer after the
    # question, without it in the prompt, as the mean log-probability (nats) of the answer's tokens.
    # None: they did not, or were not asked.
    recognised_logprob: float | None = None


class OutboxKind(StrEnum):
    """Which Slack call a row becomes."""

    POST = "post"
    UPDATE = "update"
    DELETE = "delete"
    RESPOND = "respond"  # to a command's response_url
    EPHEMERAL = "ephemeral"  # for one person's eyes; the payload names the `user`
    STREAM = "stream"  # an answer that is being written; it becomes a POST when it is whole
    RENEW = "renew"  # an update that must not get lost: posted anew where its message is gone
    PICTURE = "picture"  # an evaluation's picture, into the thread of the message that it follows


class OutboxMessage(SQLModel, table=True):
    """One thing that Mynah has to say in Slack; posted exactly once.

    A posted message carries this row's id in its metadata, so that a restarted process adopts it
    instead of posting again. `payload` is the Slack method's arguments besides channel and thread.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("team_id", "key"),
        Index("outbox_open", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("outbox_lane", "team_id", "lane", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("outbox_failed", "id", sqlite_where=_FAILED, postgresql_where=_FAILED),
    )

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    key: str  # what this message is about, e.g. "answer:7"; makes saying it twice impossible
    kind: OutboxKind = _choice(OutboxKind, default=OutboxKind.POST)
    channel: str
    thread_ts: str | None = None
    lane: str  # channel and thread: what is said there is said in order
    payload: dict[str, Any] = _json()
    answer_id: int | None = Field(default=None, foreign_key="answer.id")
    # Of an update or a deletion: the row whose message it is about, in the same lane.
    follows_id: int | None = Field(default=None, foreign_key="outbox.id", index=True)
    ts: str | None = None  # of the posted message, or of the stream that becomes it
    status: Status = _choice(Status, default=Status.WAITING)
    attempts: int = 0
    not_before: datetime = _time()
    lease_owner: str | None = None
    lease_until: datetime | None = _later()
    error: str | None = _long_text(None)
    created_at: datetime = _time()
    finished_at: datetime | None = _later()


class FeedbackKind(StrEnum):
    """What somebody said of an answer. Only staff approve, reject and correct."""

    APPROVE = "approve"
    REJECT = "reject"
    CORRECT = "correct"
    ESCALATE = "escalate"
    HELPFUL = "helpful"  # the asker's thumb: a weak signal, never an approval
    UNHELPFUL = "unhelpful"


# What staff say of an answer; the rest is help that is asked for, and askers' thumbs.
RATINGS = (FeedbackKind.APPROVE, FeedbackKind.REJECT, FeedbackKind.CORRECT)


class Feedback(SQLModel, table=True):
    """One person's rating of one answer (the bot's or a human's). Rows are never overwritten:
    the person's newest row that is not revoked counts."""

    __table_args__ = (Index("feedback_target", "team_id", "channel", "target_ts"),)

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    channel: str
    target_ts: str  # the message that was rated; for a correction, the reply that corrects
    answer_id: int | None = Field(default=None, foreign_key="answer.id")  # None: a human's answer
    user: str
    kind: FeedbackKind = _choice(FeedbackKind)
    correction: str | None = _long_text(None)
    reason: str | None = None  # "wrong", "outdated", "unsafe", "incomplete", "tone"
    comment: str | None = _long_text(None)  # what somebody wrote to a thumb, in another system
    decides: bool = False  # given on a review card: it settles what others disagree on
    given_at: datetime = _time()
    revoked_at: datetime | None = _later()


class CaseStatus(StrEnum):
    """Where a case stands."""

    OPEN = "open"
    CLAIMED = "claimed"
    RESOLVED = "resolved"
    WITHDRAWN = "withdrawn"  # whoever asked for help no longer needs it, or the question is gone


UNSETTLED = (CaseStatus.OPEN, CaseStatus.CLAIMED)
_UNSETTLED = text("status IN ('open', 'claimed')")


class Case(SQLModel, table=True):
    """A question that people have to answer: Mynah was not sure, or somebody asked for help.

    A message has one case, and a thread one at a time that is not settled. Who opened, claimed and
    resolved it is in the audit table too.
    """

    __tablename__ = "support_case"
    __table_args__ = (
        UniqueConstraint("team_id", "channel", "ts"),
        Index("support_case_status", "team_id", "status"),
        Index(
            "one_open_case", "team_id", "channel", "thread_ts", unique=True,
            sqlite_where=_UNSETTLED, postgresql_where=_UNSETTLED,
        ),
    )  # fmt: skip

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    channel: str
    thread_ts: str
    ts: str  # of the message that needs an answer; one case a message
    question_id: int | None = Field(default=None, foreign_key="question.id")  # None: never asked us
    opened_by: str  # user id, or "mynah"
    reason: str = ""  # "unsure", "asked for help"
    status: CaseStatus = _choice(CaseStatus, default=CaseStatus.OPEN)
    claimed_by: str | None = None
    resolved_by: str | None = None
    opened_at: datetime = _time()
    claimed_at: datetime | None = _later()
    resolved_at: datetime | None = _later()


class ExampleStatus(StrEnum):
    """Whether an example may be used."""

    LIVE = "live"
    REFUSED = "refused"  # never usable; `reason` says why
    REVOKED = "revoked"  # the approval or a source message was taken back
    RETIRED = "retired"  # a newer answer to the same question took its place
    HELD = "held"  # staff disagree on it, or too few have said it yet: `reason` says which
    REJECTED = "rejected"  # says only what is wrong: nobody is answered with it


class Example(SQLModel, table=True):
    """What can be learned: a question, the right answer and, for preferences, a wrong one.

    Texts are redacted. `scope` is the only channel in which the example may be used, or None for
    the whole workspace; only None may reach shared weights.
    """

    __table_args__ = (
        Index("example_live", "team_id", "status", "scope"),
        Index("example_changed", "team_id", "changed_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    feedback_id: int | None = Field(default=None, foreign_key="feedback.id", unique=True)
    question: str = _long_text()
    answer: str = _long_text()  # "" where staff only said that `rejected` is wrong
    rejected: str | None = _long_text(None)  # the bot's answer that a correction replaced
    scope: str | None = None
    status: ExampleStatus = _choice(ExampleStatus, default=ExampleStatus.LIVE)
    reason: str | None = None
    approved_by: str  # the staff member whose word it is
    content_hash: str  # of question + answer + scope
    embedder: str | None = None
    embedding: bytes | None = Field(default=None, sa_type=LargeBinary)  # float32, unit length
    created_at: datetime = _time()
    changed_at: datetime = _time()
    # The `changed_at` with which it was compared with the others: see `bot.conflicts`.
    compared_at: datetime | None = _later()


class ConflictStatus(StrEnum):
    """What is done about two answers that contradict each other. The last three are by staff."""

    POSSIBLE = "possible"  # nothing: staff are asked
    REPLACED = "replaced"  # the older one was retired: staff can put it back
    BOTH = "both"  # they answer different questions
    NEWER = "newer"
    OLDER = "older"


class Conflict(SQLModel, table=True):
    """Two examples whose questions are nearly the same, and whose answers are not."""

    __table_args__ = (
        UniqueConstraint("newer_id", "older_id"),
        Index("conflict_status", "team_id", "status"),
    )

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    newer_id: int = Field(foreign_key="example.id")
    older_id: int = Field(foreign_key="example.id", index=True)
    similarity: float
    status: ConflictStatus = _choice(ConflictStatus)
    decided_by: str | None = None
    found_at: datetime = _time()
    decided_at: datetime | None = _later()


class ExampleSource(SQLModel, table=True):
    """A Slack message that an example was made from: when it goes, the example goes."""

    __tablename__ = "example_source"
    __table_args__ = (Index("example_source_message", "team_id", "channel", "ts"),)

    example_id: int = Field(foreign_key="example.id", primary_key=True)
    channel: str = Field(primary_key=True)
    ts: str = Field(primary_key=True)
    team_id: str


class Dataset(SQLModel, table=True):
    """A frozen, content-hashed, split set of examples; the rows are in `path` (JSON Lines)."""

    __table_args__ = (UniqueConstraint("team_id", "content_hash"),)

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    content_hash: str
    path: str
    counts: dict[str, Any] = _json()  # rows by split, and refusals by reason
    created_at: datetime = _time()


class DatasetExample(SQLModel, table=True):
    """Which example went into which dataset, and into which split."""

    __tablename__ = "dataset_example"

    dataset_id: int = Field(foreign_key="dataset.id", primary_key=True)
    example_id: int = Field(foreign_key="example.id", primary_key=True, index=True)
    team_id: str
    split: str  # "train", "held_out_wording", "held_out_question", "rejected"


class RunStatus(StrEnum):
    """Where a run stands. Each end but FAILED is a good one."""

    QUEUED = "queued"
    RUNNING = "running"
    RELEASED = "released"  # the gate passed and the adapter went live
    PROVEN = "proven"  # the gate passed; it waits for an admin (MYNAH_RELEASE=ask, or a pause)
    KEPT = "kept"  # trained and evaluated, but the gate said no
    UNCLEAR = "unclear"  # trained and evaluated, but too little was asked to tell
    REFUSED = "refused"  # too little to learn from; nothing was trained
    FAILED = "failed"


class RunTrigger(StrEnum):
    """Why a run was queued."""

    COMMAND = "command"
    SCHEDULE = "schedule"
    NEW_EXAMPLES = "new_examples"


_RUNNING = text("status = 'running'")


class Run(SQLModel, table=True):
    """One training execution on one dataset, by one recipe or by several that compete."""

    __table_args__ = (
        # A missed time is caught up once, whoever notices it.
        UniqueConstraint("team_id", "due_at"),
        # Never two runs at once on this deployment, even with two workers.
        Index(
            "one_running", "status", unique=True, sqlite_where=_RUNNING, postgresql_where=_RUNNING
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    trigger: RunTrigger = _choice(RunTrigger)
    requested_by: str | None = None
    report_channel: str | None = None  # where the outcome is said; None: the admin channel
    due_at: datetime | None = _later()  # the cron time that this run stands for
    status: RunStatus = _choice(RunStatus, default=RunStatus.QUEUED)
    # What was asked for ({}: what the settings say); in the end that of `adapter_id`.
    recipe: dict[str, Any] = _json()
    phase: str = ""  # the step of the cycle it is in, in words
    progress: float = 0.0  # of that step, 0 to 1
    reasons: list[str] = _json_list()  # why it was kept, refused or failed
    dataset_id: int | None = Field(default=None, foreign_key="dataset.id")
    # What is measured just now; in the end what was chosen. The others are in Trial.
    adapter_id: int | None = Field(default=None, foreign_key="adapter.id")
    # The loss: {"steps": of the training, "points": of `training.soundness.Point`, thinned out}
    curve: dict[str, Any] = _json()
    lease_owner: str | None = None
    lease_until: datetime | None = _later()
    fence: int = 0  # grows with each claim; a writer with an older number has lost the run
    attempts: int = 0
    queued_at: datetime = _time()
    started_at: datetime | None = _later()
    finished_at: datetime | None = _later()


class Adapter(SQLModel, table=True):
    """The LoRA that a run produced: immutable, named by content hash."""

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    name: str = Field(unique=True)  # mynah-<first 12 of sha256>
    sha256: str  # of its weights and its configuration (serving.adapters.fingerprint)
    path: str
    base_model: str
    base_sha256: str
    rank: int
    # What tells that a server answers by it (serving.probes.Probe); None: it was not measured.
    probe: dict[str, Any] | None = Field(
        default=None, sa_column=Column(JSON(none_as_null=True), nullable=True)
    )
    created_at: datetime = _time()


class Trial(SQLModel, table=True):
    """One recipe in one run: the adapter that it came to, or why it came to none."""

    __table_args__ = (UniqueConstraint("run_id", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    run_id: int = Field(foreign_key="run.id")
    name: str  # of the recipe
    recipe: dict[str, Any] = _json()
    adapter_id: int | None = Field(default=None, foreign_key="adapter.id", index=True)
    train_s: float = 0.0  # that it trained, in all processes together
    left_out: str | None = _long_text(None)  # why it was not trained, or came to nothing
    # Left out for want of time, or it failed: the same examples may well be tried again.
    try_again: bool = False
    created_at: datetime = _time()


def verdict(passed: bool, enough: bool) -> str:
    """See `Evaluation.verdict`."""
    return "pass" if passed else "fail" if enough else "unclear"


class Evaluation(SQLModel, table=True):
    """A candidate against the live adapter and the base, on held-out examples, and the verdict."""

    __table_args__ = (UniqueConstraint("run_id", "adapter_id"),)

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    run_id: int = Field(foreign_key="run.id")
    adapter_id: int = Field(foreign_key="adapter.id")
    figures: dict[str, Any] = _json()
    passed: bool
    enough: bool = True  # False: too little was asked to tell; neither passed nor failed
    reasons: list[str] = _json_list()
    picture: bytes | None = Field(default=None, sa_type=LargeBinary)  # PNG, for whoever shows it
    page: str | None = _long_text(None)  # HTML, likewise: the report as it was before the release
    created_at: datetime = _time()

    @property
    def verdict(self) -> str:
        """ "pass", "fail" or "unclear": too little was asked to tell."""
        return verdict(self.passed, self.enough)


class EvaluationQuestion(SQLModel, table=True):
    """One question of an evaluation: what each model said to it, and whether that was right."""

    __tablename__ = "evaluation_question"

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    evaluation_id: int = Field(foreign_key="evaluation.id", index=True)
    sort: str  # "wording", "question", "known", "pin", "leak", "general"
    example_id: int | None = Field(default=None, foreign_key="example.id", index=True)
    cluster: int | None = None  # in its dataset: questions of one cluster are about one fact
    question: str = _long_text()
    wanted: str = _long_text()  # the right answer; of a pin, the text that it must hold
    tokens: int = 0  # of the right answer; 0 where its log-probability was not measured
    # By "base", "live" and "candidate": {"text", "right", "logprob": a token of the right answer,
    # "sure": a token of its own, "prefers": the right answer to a rejected one, "judged": against
    # what is live}
    said: dict[str, Any] = _json()
    slices: dict[str, Any] = _json()  # a name and its value


class Pin(SQLModel, table=True):
    """A question that each candidate is asked, and the text that its answer must hold."""

    __table_args__ = (UniqueConstraint("team_id", "question"),)

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    question: str = _long_text()
    must: str = _long_text()
    by: str  # user id, or "operator"
    created_at: datetime = _time()


class Release(SQLModel, table=True):
    """An adapter (or the base) that may answer. Immutable: what it does now is in Rollout."""

    __table_args__ = (UniqueConstraint("team_id", "number"),)

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    number: int  # 1, 2, 3 … in a team; people say "v3". v1 is always the base.
    adapter_id: int | None = Field(default=None, foreign_key="adapter.id")
    created_at: datetime = _time()


class RolloutAction(StrEnum):
    """What changed."""

    CANDIDATE = "candidate"  # share 0: loaded, to be evaluated
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    DISCARD = "discard"  # a candidate that the gate or an admin refused: off the replicas
    REBASE = "rebase"  # what was live was trained on another base model than is served now


class Rollout(SQLModel, table=True):
    """From `at` on, `release_id` answers `share` of new threads. Append-only: the newest row with
    share 1 is live, and rolling back is one more row."""

    __table_args__ = (Index("rollout_newest", "team_id", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    release_id: int = Field(foreign_key="release.id")
    share: float
    action: RolloutAction = _choice(RolloutAction)
    replaces_id: int | None = Field(default=None, foreign_key="release.id")  # what was live before
    by: str  # user id, or "gate"
    reason: str = ""
    at: datetime = _time()


class ThreadRelease(SQLModel, table=True):
    """The release that a thread was first answered by, and keeps while it is in use."""

    __tablename__ = "thread_release"

    team_id: str = Field(primary_key=True)
    channel: str = Field(primary_key=True)
    thread_ts: str = Field(primary_key=True)
    release_id: int = Field(foreign_key="release.id")


class Replica(SQLModel, table=True):
    """One vLLM and what it has ready, as the worker last saw it."""

    url: str = Field(primary_key=True)
    healthy: bool = False
    adapters: dict[str, Any] = _json()  # name -> {"load_s": float, "ready_at": ISO time}
    error: str | None = None
    seen_at: datetime = _time()
    trouble_since: datetime | None = _later()  # when it last stopped being healthy; None: it is
    look_at: datetime | None = _later()  # when somebody last found that it is not as this row says


class ApiKey(SQLModel, table=True):
    """What another system proves itself with, in one workspace. What it asks there has the channel
    ``api:NAME``: a key of the same name goes on where an older one ended."""

    __tablename__ = "api_key"

    id: int | None = Field(default=None, primary_key=True)
    team_id: str = Field(index=True)
    name: str
    sha256: str = Field(unique=True)  # of the key, which itself is nowhere
    made_by: str  # user id, or "operator"
    # The bucket of its rate limit: so many requests are left, as of `counted_at`; None: full.
    allowance: float | None = None
    counted_at: datetime = _time()
    last_used_at: datetime | None = _later()
    revoked_at: datetime | None = _later()
    created_at: datetime = _time()


class ApiCall(SQLModel, table=True):
    """A question that a caller named (`Idempotency-Key`): asked again by that name it has the same
    answer. Whoever makes the answer holds the lease ``api:ID`` meanwhile."""

    __tablename__ = "api_call"
    __table_args__ = (UniqueConstraint("key_id", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    key_id: int = Field(foreign_key="api_key.id")
    name: str
    body_sha256: str  # of what was asked: the name stands for that alone
    question_id: int | None = Field(default=None, foreign_key="question.id")
    created_at: datetime = _time(index=True)


class ServedBase(SQLModel, table=True):
    """The base model that is served since `at`, as the active worker found it. Append-only: the
    newest row counts, and what was trained on another one cannot be loaded."""

    __tablename__ = "served_base"

    id: int | None = Field(default=None, primary_key=True)
    model: str  # its logical name (serving.base.BaseSpec)
    sha256: str
    at: datetime = _time()


class Lease(SQLModel, table=True):
    """Who may act alone (the active worker). Taken over when it runs out."""

    name: str = Field(primary_key=True)
    owner: str
    until: datetime = Field(sa_type=UtcDateTime)


class Audit(SQLModel, table=True):
    """Who did what: every change a person or the gate made."""

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    actor: str
    action: str  # e.g. "release.promote", "run.request", "example.revoke"
    subject: str  # e.g. "release:3"
    detail: dict[str, Any] = _json()
    at: datetime = _time()
