"""The words of the micro-world: names, things, topics, labels and field names.

A word list ends in a tuple; `split(words)` keeps every eighth word out of training, so that evaluation meets names and
labels that no training context has used in that role.
"""

# ruff: noqa: E501 - tables of words and phrasings read better in long lines

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random


def _w(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PEOPLE: Final = _w(
    "Anna Ben Clara David Ella Felix Grace Hugo Iris Jonas Kate Leo Maria Nina Oscar Paula Quinn Rosa Sam Tara Uma Victor "
    "Wanda Xenia Yara Zoe Adam Bella Carl Diana Emil Fiona George Hanna Ivan Julia Karl Laura Max Nora Otto Petra Ruth "
    "Simon Tina Vera Walter Alma Boris Cora Dora Erik Flora Gina Henry Ida Jack Lena Mark"
)
CITIES: Final = _w(
    "Paris London Berlin Rome Madrid Vienna Prague Oslo Lisbon Dublin Athens Cairo Tokyo Delhi Lima Quito Boston Denver "
    "Dallas Seattle Zurich Geneva Milan Naples Porto Bergen Lyon Nice Bonn Essen Hamburg Leeds York Bath Sofia Riga Minsk "
    "Kiev Havana Bogota"
)
COMPANIES: Final = _w(
    "Norvex Altrona Belmar Cintra Dynacom Eltron Fenwick Galaxor Hexacorp Inteva Jaxon Kelvex Lumina Mondex Nimbus Orbita "
    "Pexar Quanta Rovex Solara Tavora Umbra Vantor Wexford Xylon Yotta Zentra Arvato Bravos Corvus"
)
COUNTRIES: Final = _w(
    "France Spain Italy Greece Norway Sweden Poland Austria Egypt Japan India Peru Brazil Canada Mexico Chile Kenya Ghana "
    "Turkey Iran China Korea Cuba Finland"
)
ANIMALS: Final = _w(
    "dog cat horse rabbit parrot turtle hamster goat lizard pony snake duck mouse sheep owl fox"
)
COLOURS: Final = _w("red blue green yellow black white brown pink purple orange grey silver")
JOBS: Final = _w(
    "teacher doctor lawyer baker pilot nurse farmer painter writer singer plumber dentist builder waiter judge chemist "
    "tailor sailor driver butcher"
)
FOODS: Final = _w("pizza pasta soup rice bread cheese salad cake honey apples noodles fish beans chocolate")
INSTRUMENTS: Final = _w("piano guitar violin flute drums cello harp trumpet organ banjo")
OBJECTS: Final = _w(
    "apples books coins stamps cards pens marbles shells cookies eggs tickets boxes balls stones flowers pencils"
)

TOPICS: Final[Mapping[str, tuple[str, ...]]] = {
    "cooking": _w("recipe oven sauce onion butter kitchen garlic spoon dinner flour pan chef soup pepper"),
    "sports": _w("match team goal coach stadium player score league tennis race ball referee medal trophy"),
    "music": _w(
        "song guitar concert melody drummer album singer chorus violin band rhythm orchestra tune piano"
    ),
    "weather": _w(
        "rain storm cloud wind snow thunder forecast temperature fog sunshine frost breeze hail heat"
    ),
    "travel": _w(
        "hotel flight luggage passport beach airport tourist map island suitcase ticket harbour journey cabin"
    ),
    "health": _w(
        "doctor hospital medicine fever pill nurse vaccine pain surgeon clinic symptom allergy cough bandage"
    ),
    "money": _w("bank loan salary tax budget invoice coin price debt wallet refund payment savings interest"),
    "science": _w(
        "experiment atom laboratory microscope theory molecule telescope planet physics cell energy magnet gas proof"
    ),
    "gardening": _w("flower seed soil rose tulip hedge lawn rake bush compost leaf shovel weed greenhouse"),
    "cars": _w(
        "engine tyre brake garage fuel motor wheel driver gearbox bumper mechanic windscreen exhaust mirror"
    ),
    "school": _w(
        "teacher homework exam pupil lesson classroom essay grade textbook student lecture blackboard course degree"
    ),
    "animals": _w("dog cat horse bird rabbit elephant monkey lion feather paw fur kitten zoo nest"),
    "movies": _w(
        "film actor cinema scene director screen script camera actress trailer sequel premiere drama comedy"
    ),
    "computers": _w(
        "keyboard laptop software server password monitor program printer network file mouse browser code disk"
    ),
    "law": _w(
        "judge court lawyer trial jury contract witness crime verdict prison police appeal clause sentence"
    ),
    "fashion": _w("dress shirt jacket shoes hat skirt scarf silk designer coat belt fabric button trousers"),
}
FEELINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "joy": _w("happy cheerful delighted glad joyful thrilled smiling merry"),
    "anger": _w("angry furious annoyed cross enraged mad irritated outraged"),
    "fear": _w("afraid scared anxious terrified nervous frightened worried panicked"),
    "sadness": _w("sad unhappy gloomy miserable tearful lonely heartbroken sorrowful"),
}
GOOD: Final = _w(
    "great wonderful excellent lovely superb fantastic perfect delightful brilliant amazing splendid pleasant charming "
    "good nice beautiful impressive terrific"
)
BAD: Final = _w(
    "awful terrible horrible poor dreadful bad disappointing boring ugly useless nasty broken dirty weak annoying "
    "unpleasant rotten miserable"
)
URGENT: Final = (
    "at once",
    "right now",
    "immediately",
    "within the hour",
    "without delay",
    "as fast as you can",
)
CALM: Final = (
    "next month",
    "some day",
    "when you have time",
    "whenever you like",
    "in a few weeks",
    "at your leisure",
)

THINGS: Final = _w(
    "room phone lamp table chair service staff view bag clock watch bed sofa door window garden park bridge tower museum "
    "shop market book game toy gift letter parcel"
)
PLACES: Final = _w("house street village town corner station square river hill valley lake office yard hall")
PLAIN: Final = _w("old new small big little first last second other same long short plain usual famous local")

LABELS: Final = _w(
    "alpha beta gamma delta omega red blue green black white gold silver moon sun star cloud river stone lamp apple lemon "
    "cherry plum tiger wolf eagle shark otter north south east west up down left right yes no true false hot cold zip zap "
    "foo bar baz qux ping pong tick tock circle square triangle king queen jack ace spade club heart one two three four "
    "five six seven eight nine ten low high accept reject keep drop open closed in out fast slow iron copper oak elm pine"
)
SYLLABLES: Final = _w(
    "ba be bi bo bu da de di do du fa fe fi fo ga ge go gu ka ke ki ko la le li lo lu ma me mi mo mu na ne ni no nu pa pe "
    "pi po ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo wa we wi za ze zi zo zu xa kra tri plo ster dor lan "
    "vin mar bel tor quil gan nex ron del fer"
)

CHUNKS: Final = _w(
    "in er re on at en ed es al or ing st ar ti le an th se co de it ac un ex ic as ent lo ro mp me si tion ly con di ati "
    "su ch ut ec il ter tr ad ab ation ap ur ce op ul res li fi mo ge ate ver ve ts str is ment pro cl sp us for am qu do "
    "te po comp no ma ass ri ame and cal ct ff ne ke end id lin able ted sh pre ta val par ol err um ess up ack ext el to "
    "form the ated wh ty def pe sub est sion bu are tur exp ers imp inter be und la vi ip so iz set bo get read class wr gn "
    "low ally ction ther cont per rep ort em ra ect ob ord du gh im col sy fo tho pat ace py name wi cre spec loc he ag cur "
    "fun call fil ser ase lic iter act au tri not but ting fr cri by all ator num ity mat ay line doc back ress add list "
    "age ks cess tions ence tain over red ard gi nam ces ance star ho time ick can fer ble gen its ating ok trans pos ong "
    "man put ail new ash char mar local ure lock cap ber fin cor fix tional tim ach tive mul ght sum nor wor we vari with "
    "mod arch tle ill lib hand open less ful sing ak ern win ory pr bre coun fy pl bin wa sm zer ool oon igh ou ow ai ea ee "
    "oo ie ei oa fl gl sl sn sc sw br dr gr tw kn ph ck ng nd nt rd rt rk rm rn ss tt ll nn mm eve hous mor moth fath broth "
    "sist wood wat bl och unt ust out own "
)

TEXT_FIELDS: Final = _w("text sentence message review document input post comment note passage content")
LABEL_FIELDS: Final = _w("label category type tag group output result answer kind code")
QUESTION_FIELDS: Final = _w("question query request problem")
CONTEXT_FIELDS: Final = _w("context passages facts document text notes background")
ANSWER_FIELDS: Final = _w("answer response reply output result")
SEARCH_FIELDS: Final = ("query", "search_query", "search", "next_query")


# Halves of invented names: any first with any last one.
FIRST_HALVES: Final = _w(
    "bel kal mir tor van sel ran dor fen gal hol jar kes lor mal nor ost pel quin ros sil tam ulf ver wen yor zan ard bri cor del eri "
    "fal gor hal ing jor kar lin mon nel orl pan rud sam tes urb vil wol yas zel hart win bran clem dran eld gren"
)
LAST_HALVES: Final = _w(
    "dora vin ten ric mond lia nor ta ven sa ro mira della wick ford ton burg ville stad holm land by mar ley den ster nia rus gard "
    "lo fax tex corp dyne zon ria bert win old helm rick gund lind hilda bald stein bach hoff mann sen son ova ski ette ine"
)


def split(words: Sequence[str], held_out: bool) -> tuple[str, ...]:
    """Return the words of evaluation (every eighth) or those of training (the others)."""
    return tuple(w for i, w in enumerate(words) if (i % 8 == 5) == held_out)


def kept_for(word: str, held_out: bool) -> bool:
    """Return whether an invented word is of the side that is asked for: the letters' sum decides."""
    return (sum(map(ord, word.lower())) % 8 == 5) == held_out


def invented(rng: Random, held_out: bool = False) -> str:
    """Return a word that is in no list: halves of names, syllables, pieces of English, or random letters.

    Training and evaluation draw from disjoint sets.
    """
    while True:
        kind = rng.random()
        if kind < 0.35:
            word = rng.choice(FIRST_HALVES) + rng.choice(LAST_HALVES)
        elif kind < 0.6:
            word = "".join(rng.choice(SYLLABLES) for _ in range(rng.choice((2, 2, 3))))
        elif kind < 0.92:
            word = "".join(rng.choice(CHUNKS) for _ in range(rng.choice((1, 2, 2, 2, 3, 3))))
        else:
            word = "".join(rng.choice(_LETTERS) for _ in range(rng.randint(3, 5)))
        if len(word) > 2 and kept_for(word, held_out):
            return word


_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


def proper(rng: Random, known: Sequence[str], held_out: bool) -> str:
    """Return a name: one of `known` in one case of three (never in evaluation), else an invented one.

    One in ten is a name of two words.
    """
    kind = rng.random()
    if kind < 0.35 and not held_out:
        return rng.choice(split(known, False))
    if kind < 0.8:
        while True:
            name = (rng.choice(FIRST_HALVES) + rng.choice(LAST_HALVES)).capitalize()
            if kept_for(name, held_out):
                return name
    name = invented(rng, held_out).capitalize()
    return f"{name} {invented(rng, held_out).capitalize()}" if kind > 0.9 else name


def person(rng: Random, held_out: bool) -> str:
    """Return a person's name."""
    return proper(rng, PEOPLE, held_out)


def city(rng: Random, held_out: bool) -> str:
    """Return a city's name."""
    return proper(rng, CITIES, held_out)


def word(rng: Random, known: Sequence[str], held_out: bool) -> str:
    """Return a plain word: one of `known` in nine cases of ten, else an invented one."""
    return rng.choice(known) if rng.random() < 0.9 else invented(rng, held_out)
