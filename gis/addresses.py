"""Offline search of standard addresses and place names: what a caller says becomes points, the likeliest first.

Characters, full pinyin and initials are indexed as pairs and triples of letters (house numbers as whole numbers), so that a wrong
character, a homophone or a missing word still finds its place; the few hundred best are then compared letter by letter. The
index does not change once it is built: `with_changes` lays a small one over it, and past `OVERLAY_MAX` a rebuild is due.
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pypinyin import lazy_pinyin
from rapidfuzz import fuzz, process

from gis.points import haversine_m

CANDIDATES = 160  # compared letter by letter; a street with more houses is told apart by its numbers already
OVERLAY_MAX = 2_000  # changed entries beside the index before it is built anew
FINAL = 80  # of those, how many are weighed by house number and distance
MAX_QUERY_CHARS = 100
COMMON = 0.15  # pieces that stand in more of the texts than this tell nothing where others do: 号 is in every address
NEAR_M = 3_000.0  # within this a place near the caller gets most of its bonus
NEAR_BONUS, EXACT_BONUS, NUMBER_BONUS, NUMBER_MISS = 0.08, 0.10, 0.12, 0.20
HOMOPHONE, INITIALS = 0.90, 0.80  # worth of a match by sound, by initials
LEAST = 0.42  # of 1: below this a hit is noise

# What callers say around a place; none of it is part of a name.
_NOISE = re.compile(r"(在|就在|大概|好像|那边|那里|这边|这里|附近|旁边|边上|对面|门口那|的地方|一带)")
_CHINESE_DIGITS = {c: str(i) for i, c in enumerate("零一二三四五六七八九")} | {"〇": "0", "两": "2"}
_CHINESE_NUMBER = re.compile(r"[零〇一二三四五六七八九两十百]+(?=[组号弄栋幢楼室队区期巷单村])")
_NUMBERS = re.compile(r"\d+")
_RUNS = re.compile(r"[a-z]+|\d+|[^a-z\d]+")

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Something that a caller may name. WGS 84 degrees."""

    entry_id: str
    kind: str
    name: str
    lon: float
    lat: float
    aliases: tuple[str, ...] = ()
    address: str = ""
    area: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    place: Place
    score: float  # 0..1, comparable within one answer only


def normal(text: str) -> str:
    """A text for comparison: half-width, lower case, no spaces and marks, Chinese house numbers as digits.

    >>> normal("海滨村 三组 十二号"), normal("解放路（地道口）")
    ('海滨村3组12号', '解放路地道口')
    """
    text = "".join(c for c in unicodedata.normalize("NFKC", text).lower() if c.isalnum())
    return _CHINESE_NUMBER.sub(lambda m: str(_number(m[0])), text)


def _number(text: str) -> int:
    """A Chinese number below 1000, or digits read one by one (一二三 is 123)."""
    if not any(c in "十百" for c in text):
        return int("".join(_CHINESE_DIGITS[c] for c in text))
    total, digit = 0, 1
    for c in text:
        if c == "百":
            total, digit = total + digit * 100, 0
        elif c == "十":
            total, digit = total + max(digit, 1) * 10, 0
        else:
            digit = int(_CHINESE_DIGITS[c])
    return total + (digit if text[-1] not in "十百" else 0)


@functools.lru_cache(maxsize=100_000)
def _syllables(run: str) -> tuple[str, ...]:
    """Pinyin of a run of characters, without tones. Cached: the same road stands in front of every house number."""
    return tuple(lazy_pinyin(run))


def spelled(text: str) -> tuple[str, str]:
    """Full pinyin and initials of a normalised text; letters and digits stay.

    >>> spelled("解放路12号")
    ('jiefanglu12hao', 'jfl12h')
    """
    full: list[str] = []
    initials: list[str] = []
    for run in _RUNS.findall(text):
        parts = (run,) if run.isascii() else _syllables(run)
        full.extend(parts)
        initials.extend(parts if run.isascii() else [p[:1] for p in parts])
    return "".join(full), "".join(initials)


def _tokens(text: str, width: int) -> list[str]:
    """Overlapping pieces of `width` letters, with the ends marked, and each number as one piece."""
    numbers = _NUMBERS.findall(text)
    plain = _NUMBERS.sub("#", text)
    pieces = [plain[i : i + width] for i in range(len(plain) - width + 1)] or [plain]
    return list({*pieces, "^" + plain[: max(1, width - 1)], *(f"#{n.lstrip('0')}" for n in numbers)})


class _Grams:
    """Which texts hold which pieces, as one sorted array; a query adds up the weights of what it shares with each text."""

    def __init__(self, texts: Sequence[str], width: int) -> None:
        self._width = width
        self.count = len(texts)
        vocabulary: dict[str, int] = {}
        token_ids, owners = [], []
        for owner, text in enumerate(texts):
            for token in _tokens(text, width):
                token_ids.append(vocabulary.setdefault(token, len(vocabulary)))
                owners.append(owner)
        ids = np.array(token_ids, dtype=np.int32)
        order = np.argsort(ids, kind="stable")
        self._owners: IntArray = np.array(owners, dtype=np.int32)[order]
        counts = np.bincount(ids, minlength=len(vocabulary)) if len(ids) else np.zeros(0, dtype=np.int64)
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._vocabulary = vocabulary
        self._weights: FloatArray = np.log1p(self.count / np.maximum(counts, 1)).astype(np.float32)
        self._totals: FloatArray = np.bincount(
            self._owners, weights=np.repeat(self._weights, counts), minlength=self.count
        ).astype(np.float32)

    def best(self, text: str, limit: int) -> IntArray:
        """Texts that share most with this one, measured against what each of both has."""
        shared = np.zeros(self.count, dtype=np.float32)
        asked, most = 0.0, self.count * COMMON
        numbers = [self._vocabulary.get(token) for token in _tokens(text, self._width)]
        known = [n for n in numbers if n is not None]
        telling = [n for n in known if self._starts[n + 1] - self._starts[n] <= most] or known
        asked += len(numbers) - len(known)
        for number in telling:
            weight = self._weights[number]
            shared[self._owners[self._starts[number] : self._starts[number + 1]]] += weight
            asked += float(weight)
        sharing = np.flatnonzero(shared)
        had = shared[sharing]
        likeness = had / (asked + 0.35 * self._totals[sharing] - 0.35 * had + 1e-6)
        if len(sharing) > limit:
            sharing = sharing[np.argpartition(likeness, len(sharing) - limit)[-limit:]]
        return sharing.astype(np.int32)


class AddressIndex:
    """Immutable; build in a thread (about 1 s for 55,000 places), search anywhere."""

    def __init__(self, places: Iterable[Place]) -> None:
        self.places: dict[tuple[str, str], Place] = {(p.kind, p.entry_id): p for p in places}
        self._list = list(self.places.values())
        owners, texts = [], []
        for owner, place in enumerate(self._list):
            for text in {normal(t) for t in (place.name, place.address, *place.aliases)} - {""}:
                owners.append(owner)
                texts.append(text)
        self._owners, self._texts = owners, texts
        self._numbers = [_numbers_in(text) for text in texts]
        sounds = [spelled(text) for text in texts]
        self._full = [full for full, _ in sounds]
        self._initials = [initials for _, initials in sounds]
        self._lengths = [np.array([len(t) for t in ts], dtype=np.int32) for ts in (texts, self._full, self._initials)]
        self._han = _Grams(texts, 2)
        self._sound = _Grams(self._full, 3)
        self._short = _Grams(self._initials, 2)
        self._over: AddressIndex | None = None
        self._gone: frozenset[tuple[str, str]] = frozenset()

    def __len__(self) -> int:
        return len(self.places) - len(self._gone & self.places.keys()) + (len(self._over) if self._over else 0)

    @property
    def overlay(self) -> int:
        """How many changes lie over the index; past OVERLAY_MAX it should be built anew."""
        return len(self._gone)

    def with_changes(self, changed: Iterable[Place], removed: Iterable[tuple[str, str]] = ()) -> AddressIndex:
        """An index with these places new or changed and those (kind, id) gone; shares everything else with this one."""
        over = {} if self._over is None else dict(self._over.places)
        gone = set(removed)
        for key in gone:
            over.pop(key, None)
        fresh = {(p.kind, p.entry_id): p for p in changed}
        over |= fresh
        found = object.__new__(AddressIndex)
        found.__dict__.update(self.__dict__)
        found._over = AddressIndex(over.values()) if over else None
        found._gone = self._gone | gone | fresh.keys()
        return found

    def everything(self) -> list[Place]:
        """All places as they are now, for a rebuild."""
        kept = [p for key, p in self.places.items() if key not in self._gone]
        return kept + (self._over.everything() if self._over else [])

    def search(self, query: str, *, near: tuple[float, float] | None = None, limit: int = 10) -> list[Hit]:
        """The likeliest places for what somebody said, best first; [] for a query without a letter or digit.

        `near`: lon, lat that draws places a little forward, by no more than a small difference in likeness.
        """
        text = normal(_NOISE.sub("", query[:MAX_QUERY_CHARS])) or normal(query[:MAX_QUERY_CHARS])
        if not text or limit < 1:
            return []
        hits = self._hits(text, near)
        if self._over is not None:
            hits += self._over._hits(text, near)
        hits = [h for h in hits if h.score >= LEAST] or hits[:1]
        hits.sort(key=lambda h: (-h.score, h.place.name, h.place.entry_id))
        return hits[:limit]

    def _hits(self, text: str, near: tuple[float, float] | None) -> list[Hit]:
        scores = self._by_sound(text) if text.isascii() else self._by_characters(text)
        wanted = _numbers_in(text)
        best: dict[int, float] = {}
        for number, score in scores.items():
            owner = self._owners[number]
            place = self._list[owner]
            if (place.kind, place.entry_id) in self._gone:
                continue
            if wanted:
                score += _numbers(wanted, self._numbers[number])
            best[owner] = max(best.get(owner, 0.0), score)
        bonus = self._nearness(list(best), near)
        return [
            Hit(place=self._list[owner], score=round(min(1.0, max(0.0, score + bonus.get(owner, 0.0)) / 1.2), 4))
            for owner, score in best.items()
        ]

    def _by_characters(self, text: str) -> dict[int, float]:
        full, _ = spelled(text)
        found = self._compared(self._han.best(text, CANDIDATES), self._texts, self._lengths[0], text, 1.0)
        if max(found.values(), default=0.0) > 1.0:
            return found  # the very name: what only sounds like it is not asked for
        by_sound = self._compared(
            self._sound.best(full, CANDIDATES // 2), self._full, self._lengths[1], full, HOMOPHONE
        )
        return {n: max(found.get(n, 0.0), by_sound.get(n, 0.0)) for n in found.keys() | by_sound.keys()}

    def _by_sound(self, text: str) -> dict[int, float]:
        found = self._compared(self._sound.best(text, CANDIDATES), self._full, self._lengths[1], text, 1.0)
        if len(text) <= 12:  # longer than any row of initials that somebody types
            short = self._compared(self._short.best(text, CANDIDATES), self._initials, self._lengths[2], text, INITIALS)
            found = {n: max(found.get(n, 0.0), short.get(n, 0.0)) for n in found.keys() | short.keys()}
        return found

    @staticmethod
    def _compared(
        numbers: IntArray, texts: Sequence[str], lengths: IntArray, text: str, worth: float
    ) -> dict[int, float]:
        """Likeness of each candidate: of the whole, or of the shorter inside the longer at a discount; the best FINAL of them."""
        if not len(numbers):
            return {}
        chosen = [texts[n] for n in numbers]
        whole = process.cdist([text], chosen, scorer=fuzz.ratio)[0]
        inside = process.cdist([text], chosen, scorer=fuzz.partial_ratio)[0]
        long = lengths[numbers]
        share = np.minimum(long, len(text)) / np.maximum(long, len(text))
        scores = np.maximum(whole, inside * (0.72 + 0.2 * share)) * (worth / 100.0)
        best = np.argsort(-scores, kind="stable")[:FINAL]
        found = {}
        for at, score in zip(best.tolist(), scores[best].tolist(), strict=True):
            other = chosen[at]
            found[int(numbers[at])] = score + (
                EXACT_BONUS if other == text else EXACT_BONUS / 2 if other.startswith(text) else 0.0
            )
        return found

    def _nearness(self, owners: list[int], near: tuple[float, float] | None) -> dict[int, float]:
        if near is None or not owners:
            return {}
        lon = [self._list[o].lon for o in owners]
        lat = [self._list[o].lat for o in owners]
        metres = haversine_m(lon, lat, near[0], near[1])
        bonus = NEAR_BONUS * np.exp(-metres / NEAR_M)
        return dict(zip(owners, bonus.tolist(), strict=True))


def _numbers_in(text: str) -> tuple[int, ...]:
    return tuple(int(n[-9:]) for n in _NUMBERS.findall(text))


def _numbers(wanted: tuple[int, ...], found: tuple[int, ...]) -> float:
    """House numbers weigh more than their letters: the right one draws forward, another pushes back, a close one less."""
    if found == wanted:
        return NUMBER_BONUS
    if not found:
        return 0.0
    if found[: len(wanted)] == wanted or found[-len(wanted) :] == wanted:
        return NUMBER_BONUS / 2
    apart = abs(found[-1] - wanted[-1]) if found[:-1] == wanted[:-1] else 1_000
    return -NUMBER_MISS * (1.0 - 1.0 / (1.0 + math.log1p(apart)))
