"""The drawn diagram: what is in it, and what an answer about it is worth."""

import itertools
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import ImageChops

from qualification.tasks.diagram import picture as diagram
from qualification.tasks.diagram.picture import COMPONENTS, DECOYS, SIZE, draw, labels
from qualification.tasks.diagram.scoring import DiagramScore, ends_in_mid_sentence, score

# --------------------------------------------------------------------------- the picture


def test_the_picture_is_always_the_same():
    """Of the size of the seeds' picture, with no chance in it."""
    once = draw()
    assert (once.size, once.mode) == ((1355, 710), "RGB")
    assert once.tobytes() == draw().tobytes()


def test_every_component_is_written_once_and_nothing_else_is():
    """The ground truth is what is there."""
    written = [" ".join(label.lines) for label in labels()]
    assert sorted(written) == sorted(COMPONENTS)
    assert len(set(COMPONENTS)) == len(COMPONENTS)


def test_it_has_what_the_seed_names():
    """Document 001 of the seeds."""
    assert {
        "Enterprise Reference Architecture",
        "Business Capability Architecture",
        "Digital Hub",
        "Digital Experiences",
        "Composite Solutions",
        "Functional Systems",
        "Operational Areas",
        "Corporate Support",
    } <= set(COMPONENTS)


def _inked(label):
    """The box of the pixels that a label changes."""
    from PIL import Image, ImageDraw

    paper = "black" if label.colour == "#ffffff" else "white"
    blank = Image.new("RGB", (SIZE[0] * 3, SIZE[1] * 3), paper)
    picture = blank.copy()
    diagram._write(ImageDraw.Draw(picture), label)
    return ImageChops.difference(blank, picture).reduce(3).getbbox()


def test_no_text_leaves_its_box_or_runs_into_another():
    """And each line is high enough to be read."""
    boxes = [(label, _inked(label)) for label in labels()]
    for label, (left, top, right, bottom) in boxes:
        x0, y0, x1, y1 = label.box
        assert x0 + 1 <= left < right <= x1 - 1, label
        assert y0 <= top < bottom <= y1, label
        assert (bottom - top) / len(label.lines) >= 12, f"{label} is too small to read"
    for (_, one), (_, other) in itertools.combinations(boxes, 2):
        apart = one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]
        assert apart, (one, other)


def test_the_hub_is_in_the_centre():
    """Nearer to the middle of the picture than anything else."""

    def distance(label):
        left, top, right, bottom = label.box
        return abs((left + right) / 2 - SIZE[0] / 2) + abs((top + bottom) / 2 - SIZE[1] / 2)

    assert min(labels(), key=distance).lines == ("Digital", "Hub")


def test_no_name_is_found_in_another():
    """Neither a component in a decoy nor the other way round, singular or plural."""
    for name in (*COMPONENTS, *DECOYS):
        found = score(name)
        assert (*found.found, *found.invented) == (name,)


# --------------------------------------------------------------------------- names

GOOD = """This is an **Enterprise Reference Architecture** diagram. The Digital Hub at its centre
connects four blocks, and all of them stand on the Cloud Infrastructure.

### Business Capability Architecture
**Key components:**
The operational areas are:
- **Strategic Planning**: where plans are made
- Market Development
- Product-Design
- Supply
  Chains
- Customer Service
- Corporate Support

### Composite Solutions
**Key components:**
* Demand Forecasting, Contract Management
* Field Scheduling & Customer Insights

### Digital Experiences
**Key components:**
1. Customer portals
2. Mobile Channel
3. Partner Exchange

### Functional Systems
The Finance Ledger, the Inventory Control and the Document Archive. The Digital Hub links them to
the rest. In summary, the Digital Hub is the heart of the architecture.
"""


def test_a_good_answer_has_full_marks():
    """Lists, headings and emphasis of the usual kind; the hub may be named often."""
    found = score(GOOD)
    assert found == DiagramScore(COMPONENTS, (), (), found.repetition, found.repeated, False)
    assert found.recall == 1
    assert found.repetition < 3
    assert found.metrics() == {
        "diagram_recall": 1.0,
        "diagram_inventions": 0.0,
        "diagram_repetition": float(found.repetition),
        "diagram_cut_off": 0.0,
    }


@pytest.mark.parametrize(
    "text",
    [
        "digital hub",
        "DIGITAL HUBS",
        "the Digital Hub's role",
        "the Digital Hub’s role",
        "Digital\nHub",
        "Digital\r\n   Hub",
        "Digital-Hub",
        "Digital‑Hub",
        "Digital_Hub",
        "**Digital Hub**",
        "**Digital** *Hub*",
        "_Digital Hub_.",
        '"Digital Hub"',
        "“Digital Hub”",
        "`Digital  Hub`",
        "(Digital Hub)",
        "Digital Hub—the centre",
        "Digital<br>Hub",
        "Digital\u00a0Hub",
        "Dig\u00adital H\u200bub",
        "| 1 | Digital Hub |",
        "## Digital Hub",
    ],
)
def test_a_name_is_found_however_it_is_written(text):
    """Case, plural, hyphens, line breaks and markdown do not count."""
    assert score(text).found == ("Digital Hub",)


@pytest.mark.parametrize(
    "text",
    [
        "Digital",
        "Hub",
        "Hub Digital",
        "Digital Hubris",
        "Nondigital Hub",
        "xDigital Hub",
        "Digital Hub2",
        "Digital, Hub",
        "It is digital. Hub and spoke",
        "- Digital\n- Hub",
        "Digital\n\nHub",
        "Digital | Hub",
        "Digital: Hub",
        "Digital - Hub",
        "Digital (Hub)",
        "Digital and Hub",
        "Digital & Hub",
        "Digital central Hub",
    ],
)
def test_a_name_is_not_found_in_other_words(text):
    """Words are whole, and follow each other."""
    assert "Digital Hub" not in score(text).found


def test_inventions_are_the_decoys_that_were_named():
    """However they are written."""
    found = score("The Digital Hub feeds the **data-lakes** and an API gateway.")
    assert found.invented == ("API Gateway", "Data Lake")
    assert found.found == ("Digital Hub",)


def _plural(name):
    return name if name.endswith("s") else f"{name}s"


@given(names=st.sets(st.sampled_from((*COMPONENTS, *DECOYS))), order=st.randoms())
@settings(deadline=None)
def test_what_is_listed_is_what_is_found(names, order):
    """Any of the names, in any order, in any of the usual forms."""
    listed = sorted(names)
    order.shuffle(listed)
    forms = (str, str.upper, "**{}**".format, _plural, "a {}: with words behind".format)
    found = score("".join(f"- {order.choice(forms)(name)}\n" for name in listed))
    assert set(found.found) | set(found.invented) == names
    assert found.recall == len(names & set(COMPONENTS)) / len(COMPONENTS)


# --------------------------------------------------------------------------- repetition


@pytest.mark.parametrize(
    "text",
    [
        "- Supply Chain\n- Corporate Support\n- Product Design\n- Corporate Support\n- Finance\n"
        "- Corporate Support",
        "1. **Corporate Support**: people\n2. **Corporate Support**: law\n"
        "3. Corporate Support - IT",
        "The areas are Corporate Support, Supply Chain, Corporate Support, and Corporate Support.",
        "1. Corporate Support 2. Corporate Support 3. Corporate Support",
        "Corporate Support\nCorporate Support\nCorporate Support",
        "## Corporate Support\na\n## Corporate Support\nb\n## Corporate Support\nc",
    ],
)
def test_corporate_support_three_times_is_found(text):
    """What the seeds saw of the 3B model, in any form."""
    found = score(text)
    assert (found.repetition, found.repeated) == (3, "corporate support")


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("", 0),
        ("?!\n--\n***", 0),
        ("A diagram.", 1),
        ("It has boxes. It has arrows. It has boxes.", 2),
        ("It has boxes. A. It has boxes. B. It has boxes. C. It has boxes.", 4),
        ("so it goes and so it goes and so it goes and so it", 3),
        ("no no no no no", 5),
        ("- one box\n- two boxes\n- one box\n- two boxes\n- one box", 3),
        ("Step 1, Step 2, Step 3, Step 4.", 1),
        ("The Digital Hub is big. The Digital Hub is blue. The Digital Hub links.", 1),
        ("Parts:\n- a\n\nParts:\n- b\n\nParts:\n- c", 1),
        ("**Parts**\n- a\n\n**Parts**\n- b\n\n**Parts**\n- c", 1),
        ("| a | yes | yes | yes |\n| b | yes | yes | yes |", 1),
        ("| a | b |\n| a | b |\n| a | b |", 3),
    ],
)
def test_repetition_is_the_most_that_one_thing_is_said(text, times):
    """Labels, numbers and a table's columns may come again."""
    assert score(text).repetition == times


@given(
    block=st.lists(
        st.sampled_from(("red", "green", "blue", "hub", "box")), min_size=1, max_size=24
    ),
    times=st.integers(1, 12),
)
@settings(deadline=None)
def test_a_loop_is_counted(block, times):
    """Whatever the block of words, it is found behind itself at least so often."""
    assert score("So " + " ".join(block * times)).repetition >= times


# --------------------------------------------------------------------------- cut-off


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("It shows a hub.", False),
        ("It shows a hub", True),
        ("The diagram shows the Digital", True),
        ("It has three layers:", True),
        ("It has layers, boxes,", True),
        ("- Digital Hub\n- Corporate Support", False),
        ("- Digital Hub\n- Corporate Support and", True),
        ("- **Digital Hub**\n- **Corporate", True),
        ("Digital Hub", False),
        ("circle", False),
        ("Composite Solutions and Digital Experiences", False),
        ('He called it a "hub."', False),
        ("It is **a hub.**", False),
        ("It is a hub (see the centre).\n\n", False),
        ("| Hub | centre |", False),
        ("Is it a hub?", False),
        ("", False),
        ("Ein Knoten…", False),
    ],
)
def test_an_answer_that_stops_in_mid_sentence_is_cut_off(text, cut):
    """Lists, headings, tables and names need no full stop."""
    assert ends_in_mid_sentence(text) is cut
    assert score(text).cut_off is cut
    assert score(text, "length").cut_off is True


# --------------------------------------------------------------------------- hostile text


@given(text=st.text(max_size=300))
@example("\x00\x1b[31mDigital Hub\x1b[0m\u202e\ud800")
@example("Digital Hub " * 50)
@settings(deadline=None)
def test_whatever_is_said_can_be_scored(text):
    """Every answer has a score within its bounds."""
    found = score(text)
    assert 0 <= found.recall <= 1
    assert set(found.found) | set(found.missing) == set(COMPONENTS)
    assert len(found.found) + len(found.missing) == len(COMPONENTS)
    assert set(found.invented) <= set(DECOYS)
    assert found.repetition >= (1 if found.found else 0)
    assert len(found.repeated) <= 81
    assert isinstance(found.sentence(), str)


@pytest.mark.parametrize(
    "piece",
    [".", "-", " ", "*", "\n", "a", "a ", "a'", "1. ", "|", "**a", "<br ", "- ", "Digital Hub ",
     "Digital ", "\x1b[31m\u202e", "a\u0301\u0323", "\ufdfa", "`", "#", "a-", "(", ". "],
    ids=repr,
)  # fmt: skip
def test_a_long_text_is_scored_in_proportion_to_its_length(piece):
    """No text takes quadratic time: 300,000 characters are a second, not hours."""
    text = " " + piece * (300_000 // len(piece)) + "x"
    started = time.process_time()
    score(text)
    assert time.process_time() - started < 10
