"""The drawn diagram: its labels, and the scores of an answer about it."""

import itertools
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import ImageChops

from qualification.tasks.diagram import drawing as diagram
from qualification.tasks.diagram.drawing import COMPONENTS, DECOYS, SIZE, draw, labels
from qualification.tasks.diagram.scoring import DiagramScore, ends_in_mid_sentence, score

# --------------------------------------------------------------------------- the image


def test_the_image_is_always_the_same():
    """The size of the published diagram (docs/published-documents.md), and no randomness."""
    image = draw()
    assert (image.size, image.mode) == ((1355, 710), "RGB")
    assert image.tobytes() == draw().tobytes()


def test_every_component_is_written_once_and_nothing_else_is():
    """The ground truth is what the image shows."""
    written = [" ".join(label.lines) for label in labels()]
    assert sorted(written) == sorted(COMPONENTS)
    assert len(set(COMPONENTS)) == len(COMPONENTS)


def test_it_has_the_components_of_the_published_diagram():
    """docs/published-documents.md ("Practices that are measured") lists them."""
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
    image = blank.copy()
    diagram._write(ImageDraw.Draw(image), label)
    return ImageChops.difference(blank, image).reduce(3).getbbox()


def test_no_text_leaves_its_box_or_runs_into_another():
    """Each line is also tall enough to be read."""
    boxes = [(label, _inked(label)) for label in labels()]
    for label, (left, top, right, bottom) in boxes:
        x0, y0, x1, y1 = label.box
        assert x0 + 1 <= left < right <= x1 - 1, label
        assert y0 <= top < bottom <= y1, label
        assert (bottom - top) / len(label.lines) >= 12, f"{label} is too small to read"
    for (_, a), (_, b) in itertools.combinations(boxes, 2):
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1], (a, b)


def test_the_hub_is_in_the_centre():
    """It is nearer to the middle of the image than any other label."""

    def distance(label):
        left, top, right, bottom = label.box
        return abs((left + right) / 2 - SIZE[0] / 2) + abs((top + bottom) / 2 - SIZE[1] / 2)

    assert min(labels(), key=distance).lines == ("Digital", "Hub")


def test_no_name_is_found_in_another():
    """No component is found in a decoy and no decoy in a component, singular or plural."""
    for name in (*COMPONENTS, *DECOYS):
        result = score(name)
        assert (*result.named, *result.hallucinated) == (name,)


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
    """Usual lists, headings and emphasis; the hub may be named often."""
    result = score(GOOD)
    assert result == DiagramScore(COMPONENTS, (), (), result.repetition, result.repeated, False)
    assert result.recall == 1
    assert result.repetition < 3
    assert result.metrics() == {
        "diagram_recall": 1.0,
        "diagram_hallucinations": 0.0,
        "diagram_repetition": float(result.repetition),
        "diagram_truncated": 0.0,
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
    assert score(text).named == ("Digital Hub",)


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
    """The words of a name are whole and follow each other."""
    assert "Digital Hub" not in score(text).named


def test_hallucinations_are_the_decoys_that_were_named():
    """Decoys are found however they are written."""
    result = score("The Digital Hub feeds the **data-lakes** and an API gateway.")
    assert result.hallucinated == ("API Gateway", "Data Lake")
    assert result.named == ("Digital Hub",)


def _plural(name):
    return name if name.endswith("s") else f"{name}s"


@given(names=st.sets(st.sampled_from((*COMPONENTS, *DECOYS))), order=st.randoms())
@settings(deadline=None)
def test_every_listed_name_is_found(names, order):
    """Any names in any order and any usual form."""
    listed = sorted(names)
    order.shuffle(listed)
    forms = (str, str.upper, "**{}**".format, _plural, "a {}: with words behind".format)
    result = score("".join(f"- {order.choice(forms)(name)}\n" for name in listed))
    assert set(result.named) | set(result.hallucinated) == names
    assert result.recall == len(names & set(COMPONENTS)) / len(COMPONENTS)


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
    """The repetition that was published about a 3B model, in any form."""
    result = score(text)
    assert (result.repetition, result.repeated) == (3, "corporate support")


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
def test_repetition_is_the_highest_count(text, times):
    """Labels, numbers and the columns of a table may occur again."""
    assert score(text).repetition == times


@given(
    block=st.lists(
        st.sampled_from(("red", "green", "blue", "hub", "box")), min_size=1, max_size=24
    ),
    times=st.integers(1, 12),
)
@settings(deadline=None)
def test_a_loop_is_counted(block, times):
    """Any repeated block of words is counted at least that often."""
    assert score("So " + " ".join(block * times)).repetition >= times


# --------------------------------------------------------------------------- truncation


@pytest.mark.parametrize(
    ("text", "truncated"),
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
def test_an_answer_that_stops_in_mid_sentence_is_truncated(text, truncated):
    """Lists, headings, tables and names need no full stop."""
    assert ends_in_mid_sentence(text) is truncated
    assert score(text).truncated is truncated
    assert score(text, "length").truncated is True


# --------------------------------------------------------------------------- hostile text


@given(text=st.text(max_size=300))
@example("\x00\x1b[31mDigital Hub\x1b[0m\u202e\ud800")
@example("Digital Hub " * 50)
@settings(deadline=None)
def test_any_answer_can_be_scored(text):
    """Every answer has a score within its bounds."""
    result = score(text)
    assert 0 <= result.recall <= 1
    assert set(result.named) | set(result.missing) == set(COMPONENTS)
    assert len(result.named) + len(result.missing) == len(COMPONENTS)
    assert set(result.hallucinated) <= set(DECOYS)
    assert result.repetition >= (1 if result.named else 0)
    assert len(result.repeated) <= 81
    assert isinstance(result.sentence(), str)


@pytest.mark.parametrize(
    "piece",
    [
        *(".", "-", " ", "*", "\n", "a", "a ", "a'", "1. ", "|", "**a", "<br ", "- "),
        *("Digital Hub ", "Digital ", "\x1b[31m\u202e", "a\u0301\u0323", "\ufdfa"),
        *("`", "#", "a-", "(", ". "),
    ],
    ids=repr,
)
def test_a_long_text_is_scored_in_proportion_to_its_length(piece):
    """No text takes quadratic time: 100,000 characters take 0.3 s, not an hour."""
    text = " " + piece * (100_000 // len(piece)) + "x"
    started = time.process_time()
    score(text)
    assert time.process_time() - started < 3
