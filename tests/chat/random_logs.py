"""Random logs of one chat for property tests: mostly valid, with some invalid events."""

import json

from hypothesis import strategies as st

from streams.log import Entry

MESSAGES = [f"m{i}" for i in range(6)]
FILES = [{"id": f"f{n}", "kind": "image", "name": "a", "thumb": "data:"} for n in range(2)]
FILES.append({"id": "f2", "kind": "audio", "name": "b", "duration_ms": 5})
CALLS = [
    {"id": "k0", "index": 0, "server": "clock", "tool": "now", "title": "Now", "arguments": {}},
    {"id": "k1", "index": 1, "server": "clock", "tool": "now", "arguments": {"zone": "é"}},
    {"id": "k2", "index": 1, "server": "clock", "tool": "now", "input": "{"},
]
texts = st.text(alphabet=st.sampled_from("ab \n*`é😀ß"), max_size=6)
messages = st.sampled_from(MESSAGES)
parents = st.none() | messages


def _event(kind, **fields):
    return st.fixed_dictionaries({"type": st.just(kind), **fields})


events = st.one_of(
    _event("chat.created", chat=st.just("c"), title=texts, model=st.just("x/y")),
    _event(
        "chat.created",
        chat=st.just("c"),
        title=texts,
        model=st.just("x/y"),
        temporary=st.none() | st.booleans(),
        project=st.none() | texts,
    ),
    _event("chat.kept", chat=st.just("c"), title=texts),
    _event("chat.renamed", chat=st.just("c"), title=texts, by=st.sampled_from(["user", "model"])),
    _event("chat.instructed", chat=st.just("c"), instructions=texts),
    _event("chat.deleted", chat=st.just("c")),
    _event("chat.restored", chat=st.just("c")),
    _event("chat.pinned", chat=st.just("c"), pinned=st.booleans()),
    _event("chat.archived", chat=st.just("c"), archived=st.booleans()),
    _event("chat.moved", chat=st.just("c"), project=texts),
    _event("chat.read", chat=st.just("c"), until_ms=st.integers(0, 9)),
    _event("message.created", message=messages, role=st.just("user"), parent=parents, text=texts),
    _event(
        "message.created",
        message=messages,
        role=st.just("assistant"),
        parent=parents,
        model=st.just("x/y"),
    ),
    _event(
        "message.started",
        message=messages,
        attempt=st.integers(1, 3),
        model=st.just("x/y"),
        left_out=st.integers(0, 2),
        credit_limit_tokens=st.none() | st.integers(1, 9),
        sound=st.none() | st.sampled_from(["f1", "f2"]),
    ),
    _event(
        "message.created",
        message=messages,
        role=st.just("user"),
        parent=parents,
        text=texts,
        files=st.lists(st.sampled_from(FILES), max_size=2),
    ),
    _event("file.erased", file=st.sampled_from(["f0", "f1", "f2", "f3"])),
    _event(
        "message.audio",
        message=messages,
        file=st.sampled_from([{"id": "f1", "kind": "audio"}, {"id": "f3", "kind": "audio"}]),
        voice=st.just("verse"),
        spans=st.just([[0, 4, 0, 900]]),
        estimated=st.booleans(),
    ),
    _event("file.transcribed", file=st.sampled_from(["f1", "f2", "f3"]), text=texts),
    _event("message.image", message=messages, file=st.sampled_from(FILES)),
    _event("message.delta", message=messages, text=texts),
    _event("message.rated", message=messages, rating=st.sampled_from(["up", "down", "none"])),
    _event("message.reasoning", message=messages, text=texts),
    _event("message.reasoning", message=messages, text=texts, text_length=st.integers(0, 9)),
    _event(
        "message.resumed",
        message=messages,
        attempt=st.integers(2, 4),
        reason=st.sampled_from(["lost", "handover", "provider", "user", "step"]),
        means=st.sampled_from(["prefill", "ask", "restart"]),
        length=st.integers(0, 9),
        credit_limit_tokens=st.none() | st.integers(1, 9),
    ),
    _event(
        "message.waiting",
        message=messages,
        attempt=st.integers(1, 3),
        code=st.just("rate_limited"),
        delay_ms=st.integers(0, 9),
    ),
    _event(
        "message.completed",
        message=messages,
        finish=st.sampled_from(["stop", "stopped", "length"]),
        model=st.just("x/z"),
        length=st.integers(0, 9),
        sha256=st.just("00"),
        duration_ms=st.integers(0, 9),
    ),
    _event(
        "message.completed",
        message=messages,
        finish=st.just("stop"),
        model=st.just("x/z"),
        length=st.integers(0, 9),
        sha256=st.just("00"),
        duration_ms=st.integers(0, 9),
        omitted=st.none() | st.just(["image"]),
        usage=st.just({"prompt_tokens": 1, "completion_tokens": 2}),
        text=texts,
        reasoning=texts,
    ),
    _event(
        "message.error",
        message=messages,
        code=st.just("rate_limited"),
        text=texts,
        retryable=st.booleans(),
        length=st.integers(0, 9),
        sha256=st.just("00"),
        text_kept=texts,
        reasoning=texts,
    ),
    _event("message.stepped", message=messages, attempt=st.just(1), step=st.integers(1, 3)),
    _event(
        "tool.input",
        message=messages,
        attempt=st.integers(1, 3),
        index=st.integers(0, 2),
        text=texts,
        server=st.none() | st.just("clock"),
        tool=st.none() | st.just("now"),
    ),
    _event(
        "tool.call",
        message=messages,
        attempt=st.integers(1, 3),
        step=st.integers(1, 3),
        length=st.integers(0, 9),
        reasoning_length=st.integers(0, 9),
        calls=st.lists(st.sampled_from(CALLS), max_size=3, unique_by=lambda call: call["id"]),
    ),
    _event("tool.started", message=messages, call=st.sampled_from(["k0", "k1", "k2"])),
    _event(
        "tool.result",
        message=messages,
        call=st.sampled_from(["k0", "k1", "k2"]),
        status=st.sampled_from(["ok", "error", "denied", "stopped", "timeout", "unknown"]),
        duration_ms=st.integers(0, 9),
        content=st.none() | st.just([{"type": "text", "text": "51"}]),
        structured=st.none() | st.booleans() | st.just({"a": [0]}),
        sentence=st.none() | texts,
        cut=st.none() | st.booleans(),
    ),
    _event("branch.chosen", message=messages),
    _event("message.hologram", message=messages, depth=st.integers()),
)


def chat_logs(max_size=40):
    """Lists of [entry id, event] with increasing ids."""
    return st.lists(events, max_size=max_size).map(
        lambda found: [[f"{1_000 + i // 3}-{i % 3}", event] for i, event in enumerate(found)]
    )


def entries_of(events):
    return [
        Entry(id=entry_id, chat="c", type=data["type"], data=json.dumps(data).encode())
        for entry_id, data in events
    ]
