"""Binary search and repeated asking, over tests that may not answer."""

import math

from hypothesis import given
from hypothesis import strategies as st

from qualification.upgrade.bisect.halving import agreed, first_bad


@st.composite
def searches(draw):
    """Any number of releases, any first bad one, any that give no answer."""
    count = draw(st.integers(0, 40))
    bad_from = draw(st.integers(1, count + 1))
    silent = draw(st.sets(st.integers(1, count))) if count else set()
    word = draw(st.sampled_from(["unavailable", "unsure"]))
    return count, bad_from, silent, word


@given(searches())
def test_the_tightest_pair_round_the_first_bad_release_is_found(search):
    """No release that answers lies between the two, in as few tests as binary search takes."""
    count, bad_from, silent, word = search
    tested = []

    def test(number):
        tested.append(number)
        return word if number in silent else "bad" if number >= bad_from else "good"

    bracket = first_bad(0, range(1, count + 1), count + 1, test)
    answering = [number for number in range(count + 2) if number not in silent]
    assert bracket.last_good == max(number for number in answering if number < bad_from)
    assert bracket.first_bad == min(number for number in answering if number >= bad_from)
    between = range(bracket.last_good + 1, bracket.first_bad)
    assert bracket.untold == tuple((number, word) for number in between)
    assert len(set(tested)) == len(tested) == bracket.tests
    skipped = len(silent & set(tested))
    assert bracket.tests <= math.ceil(math.log2(count + 2)) + skipped


@given(st.lists(st.booleans(), min_size=2, max_size=9))
def test_an_answer_is_believed_only_with_a_lead_of_two(outcomes):
    """Two equal answers settle it; one of each is asked again, up to the number of tries."""
    attempts = []
    answer = agreed(lambda attempt: attempts.append(attempt) or outcomes[attempt], len(outcomes))
    used = outcomes[: len(attempts)]
    lead = used.count(True) - used.count(False)
    assert answer == {2: "good", -2: "bad"}.get(lead, "unsure")
    assert (answer == "unsure") <= (len(attempts) == len(outcomes))
