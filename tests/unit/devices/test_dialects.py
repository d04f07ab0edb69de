"""The table of other platforms' topics: what it opens at the broker, where answers go, what is wrong in a document."""

from __future__ import annotations

import pytest

from devices.credentials import acl_text
from devices.dialects import DialectWrong, dialects, parse_dialect, reply_topic, rewrite_text, routes
from devices.stations import DECODERS, FAMILIES
from devices.topics import Channel, parse_up

GOOD = """
platform: acme
name: {zh: 甲, en: A}
source: a test
topics: [{codec: acme, up: "/{product}/{device}/up", layout: {values: v}, reply: {topic: "/{product}/{device}/re", answer: {body: {}}}}]
"""


def test_each_platform_is_a_family_with_a_decoder_for_each_codec() -> None:
    assert list(dialects()) == [
        "aliyun",
        "ctwing",
        "frigate",
        "gb28181",
        "huawei",
        "jetlinks",
        "onenet",
        "onvif",
        "thingsboard",
    ]
    assert set(dialects()) <= set(FAMILIES)
    assert set(routes()) <= set(DECODERS)
    assert "thingsboard-gateway" not in FAMILIES


def test_the_rules_of_the_plugin() -> None:
    rules = rewrite_text().splitlines()
    assert "thingsboard v1/devices/me/telemetry" in rules
    assert "aliyun /sys/+/%u/thing/event/property/post" in rules
    assert "jetlinks-child /+/%u/child/+/properties/report" in rules
    assert "onvif-json %u/onvif-ej/#" in rules
    assert "onvif-json-child %u/+/onvif-ej/#" in rules
    assert all(len(rule.split()) == 2 for rule in rules)


def test_what_is_open_at_the_broker_only_where_topics_are_rewritten() -> None:
    shut, open_ = acl_text("demo", ["ingest"]), acl_text("demo", ["ingest"], dialects=True)
    added = [line for line in open_.splitlines() if line not in shut.splitlines()]
    assert "topic write /sys/+/+/thing/event/property/post_reply" in added
    assert "pattern read /sys/+/%u/thing/event/property/post_reply" in added
    assert "pattern write v1/devices/me/telemetry" in added
    for line in added:
        kind, access, topic = line.split()
        if (kind, access) == ("pattern", "read"):
            assert "%u" in topic, "a device hears its own answers and nobody else's"


def test_an_answer_goes_to_the_sender_whatever_the_topic_said() -> None:
    topic = parse_up("cb/v1/demo/g1/up/raw/aliyun/a1Pk")
    assert (topic.channel, topic.argument, topic.more) == (Channel.RAW, "aliyun", ("a1Pk",))
    assert reply_topic("aliyun", "g1", topic.more) == "/sys/a1Pk/g1/thing/event/property/post_reply"
    assert reply_topic("aliyun", "g1", ()) == "", "published on our own topic, without the product"
    assert reply_topic("huawei", "g1", ()) == ""


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("platform: acme", "platform: Acme", "platform 'Acme'"),
        ("codec: acme", "codec: other", "codec 'other': expected acme or acme-..."),
        ("layout: {values: v}", "reader: none", "reader 'none': expected one of thingsboard.telemetry"),
        (", layout: {values: v}", "", "expected a layout or a reader"),
        ("/{product}/{device}/up", "cb/v1/x", "outside of cb/"),
        ("/{product}/{device}/up", "/#", "expected {device} before #"),
        ("/{product}/{device}/up", "/{device}/#", "expected a reader for the levels of #"),
        ("/{product}/{device}/up", "/#/{device}/up", "expected levels of letters"),
        ("/{product}/{device}/re", "/{device}/#", "expected levels of letters"),
        ("/{product}/{device}/re", "/{product}/all/re", "else others would read it"),
        ("/{product}/{device}/re", "/{area}/{device}/re", "names that the message's topic does not have"),
        ("{values: v}", "{values: v, form: epoch}", "Invalid enum value"),
        ("source: a test", "sauce: a test", "unknown field"),
    ],
)
def test_a_wrong_document_is_refused_with_words(old: str, new: str, problem: str) -> None:
    assert parse_dialect(GOOD).platform == "acme"
    with pytest.raises(DialectWrong, match=r"acme\.yaml") as caught:
        parse_dialect(GOOD.replace(old, new), file="acme.yaml")
    assert problem in str(caught.value)
