"""Whether an English word says that something has happened: regular and irregular past forms."""

from __future__ import annotations

from typing import Final

_IRREGULAR: Final = """
arise arose arisen; awake awoke awoken; be was were been; bear bore born borne; beat beaten;
become became; befall befell befallen; begin began begun; behold beheld; bend bent; beset; bet;
bid bade bidden; bind bound; bite bit bitten; bleed bled; blow blew blown; break broke broken;
breed bred; bring brought; broadcast; browbeat browbeaten; build built; burn burnt; burst; buy
bought; cast; catch caught; choose chose chosen; cling clung; come came; cost; creep crept; cut;
deal dealt; dig dug; do did done; draw drew drawn; dream dreamt; drink drank drunk; drive drove
driven; dwell dwelt; eat ate eaten; fall fell fallen; feed fed; feel felt; fight fought; find
found; flee fled; fling flung; fly flew flown; forbear forbore forborne; forbid forbade forbidden;
forecast; foresee foresaw foreseen; foretell foretold; forget forgot forgotten; forgive forgave
forgiven; forgo forwent forgone; forsake forsook forsaken; freeze froze frozen; get got gotten;
give gave given; go went gone; grind ground; grow grew grown; hang hung; have had; hear heard;
hide hid hidden; hit; hold held; hurt; inlay inlaid; inset; keep kept; kneel knelt; knit; know
knew known; lay laid; lead led; lean leant; leap leapt; learn learnt; leave left; lend lent; let;
lie lay lain; light lit; lose lost; make made; mean meant; meet met; mislay mislaid; mislead
misled; misread; misspell misspelt; misspend misspent; mistake mistook mistaken; misunderstand
misunderstood; mow mown; offset; outbid; outdo outdid outdone; outgrow outgrew outgrown; outrun
outran; outsell outsold; overcome overcame; overdo overdid overdone; overdraw overdrew overdrawn;
overhear overheard; override overrode overridden; overrun overran; oversee oversaw overseen;
oversell oversold; oversleep overslept; overspend overspent; overtake overtook overtaken;
overthrow overthrew overthrown; overwrite overwrote overwritten; partake partook partaken; pay
paid; plead pled; prepay prepaid; prove proven; put; quit; read; rebuild rebuilt; recast; redo
redid redone; redraw redrew redrawn; remake remade; rend rent; repay repaid; reread; rerun reran;
resell resold; resend resent; reset; resit resat; retake retook retaken; retell retold; rethink
rethought; rewind rewound; rewrite rewrote rewritten; rid; ride rode ridden; ring rang rung; rise
rose risen; run ran; saw sawn; say said; see saw seen; seek sought; sell sold; send sent; set; sew
sewn; shake shook shaken; shed; shine shone; shoot shot; show shown; shred; shrink shrank shrunk;
shut; sing sang sung; sink sank sunk; sit sat; slay slew slain; sleep slept; slide slid; slit;
smell smelt; sow sown; speak spoke spoken; speed sped; spell spelt; spend spent; spill spilt; spin
spun; spit spat; split; spoil spoilt; spread; spring sprang sprung; stand stood; steal stole
stolen; stick stuck; sting stung; stink stank stunk; strike struck stricken; strive strove
striven; sublet; swear swore sworn; sweep swept; swell swollen; swim swam swum; swing swung; take
took taken; teach taught; tear tore torn; tell told; think thought; thrive throve; throw threw
thrown; thrust; tread trod trodden; typeset; unbind unbound; underbid; undercut; undergo underwent
undergone; underpay underpaid; undersell undersold; understand understood; undertake undertook
undertaken; underwrite underwrote underwritten; undo undid undone; unwind unwound; uphold upheld;
upset; wake woke woken; wear wore worn; weave wove woven; wed; weep wept; win won; wind wound;
withdraw withdrew withdrawn; withhold withheld; withstand withstood; wring wrung; write wrote
written
"""

_VERBS: Final = {
    forms[0]: frozenset(forms[1:]) for line in _IRREGULAR.split(";") if (forms := line.split())
}

_BASE_OF: Final = {form: base for base, forms in _VERBS.items() for form in forms}

IRREGULAR_VERBS: Final = frozenset(_VERBS)
"""Base forms of the irregular verbs that are known."""

_ALSO_A_NOUN: Final = frozenset({
    "bit", "bore", "bound", "felt", "ground", "lay", "left", "rent", "resent", "rose", "saw",
    "shot", "slew", "spat", "spoke", "thought", "wound",
})  # fmt: skip
"""Past forms that open a name as a noun or adjective: SawSharpened, RentPaid."""

_SAME_IN_THE_PAST: Final = frozenset(
    base for base, forms in _VERBS.items() if not forms
) | frozenset({"beat", "bid"})
"""Verbs whose past form is their base form: cut, hit, split."""

_NOUN_WHEN_LAST: Final = frozenset({
    "bet", "bid", "bit", "broadcast", "cost", "forecast", "ground", "inset", "offset",
    "rent", "resent", "saw", "shed", "spat", "spread", "thought",
})  # fmt: skip
"""Ambiguous words that end a name as a noun: AuctionBid, CreditSpread."""

_PAST_IN_EED: Final = frozenset({
    "agreed", "decreed", "disagreed", "emceed", "filigreed", "freed", "guaranteed", "refereed",
    "teed", "treed",
})  # fmt: skip

_NOT_VERBS: Final = frozenset({
    "ahmed", "airbed", "alfred", "beloved", "biped", "bobsled", "cowshed", "daybed", "embed",
    "flatbed", "flowerbed", "hatred", "hotbed", "hundred", "imbed", "infrared", "jared",
    "kindred", "limited", "mohammed", "moped", "naked", "quadruped", "riverbed", "sacred",
    "seabed", "seedbed", "sickbed", "sunbed", "testbed", "toolshed", "united", "unlimited",
    "waterbed", "watershed", "wicked", "wilfred", "winifred", "woodshed",
})  # fmt: skip
"""Words in -ed that are no past tense."""

_VOWELS: Final = frozenset("aeiouy")


def is_past(word: str) -> bool:
    """Whether ``word`` is a past form wherever it stands: ``placed``, ``paid``, ``withdrawn``."""
    word = word.casefold()
    if word in _BASE_OF:
        return word not in _ALSO_A_NOUN and word not in _SAME_IN_THE_PAST
    if not word.endswith("ed") or word in _NOT_VERBS or word in IRREGULAR_VERBS:
        return False
    if word.endswith("eed"):
        return word in _PAST_IN_EED
    return not _VOWELS.isdisjoint(word[:-2])  # shred, sled: no vowel, no verb before the -ed


def may_be_past(word: str, *, last: bool) -> bool:
    """Whether ``word`` is past only by its place: ``cut`` in PriceCut, not in CutPrice.

    The caller asks about words that are not the first; ``last`` says the word ends the name.
    """
    word = word.casefold()
    if last and word in _NOUN_WHEN_LAST:
        return False
    return word in _SAME_IN_THE_PAST or word in _ALSO_A_NOUN


def base_forms(word: str) -> frozenset[str]:
    """What ``word`` may be an inflection of, itself included: ``applied`` gives ``apply``."""
    word = word.casefold()
    found = {word}
    if word in _BASE_OF:
        found.add(_BASE_OF[word])
    for ending in ("ed", "ing"):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            stem = word.removesuffix(ending)
            found |= {stem, f"{stem}e"}
            if stem[-1] == stem[-2]:
                found.add(stem[:-1])  # shipped, planned
            if ending == "ed" and stem.endswith("i"):
                found.add(f"{stem[:-1]}y")  # applied
    return frozenset(found | singular_forms(word))


def singular_forms(word: str) -> set[str]:
    """What ``word`` may be the plural of: ``entries`` gives ``entry``."""
    found: set[str] = set()
    if word.endswith("ies"):
        found.add(f"{word[:-3]}y")
    if word.endswith("es"):
        found.add(word[:-2])
    if word.endswith("s") and not word.endswith("ss"):
        found.add(word[:-1])
    return found
