"""GATE.md agrees with the logged gates, and the rivals judge the same pairs."""

import json

from benchmarks.gate.power import EQUAL_METRICS, FAULTS, document, judged, read, share


def line(kind, verdict, factor=1.0, pairs=12):
    """One logged gate; the candidate is ``factor`` times as slow in every pair."""
    metrics = (FAULTS[kind][0],) if kind in FAULTS else EQUAL_METRICS
    return {
        "seed": 0,
        "started": "2026-01-01T00:00:00Z",
        "wall_s": 30.0,
        "verdict": verdict,
        "metrics": {m: {"verdict": verdict, "pairs": pairs, "factor": factor} for m in metrics},
        "pairs": {m: [[100.0 + n, (100.0 + n) / factor] for n in range(pairs)] for m in metrics},
    }


def written(folder, kind, lines):
    """A log of those gates."""
    (folder / f"{kind}.jsonl").write_text("".join(json.dumps(gate) + "\n" for gate in lines))


def test_every_share_is_counted_from_the_logs(tmp_path):
    """Forty equal gates without an alarm, nineteen of twenty faults found, one passed over."""
    written(tmp_path, "equal", [line("equal", "pass")] * 40)
    gates = [line("decode", "regressed", 1.2)] * 19 + [line("decode", "inconclusive", 1.2)]
    written(tmp_path, "decode", gates)
    text = document(tmp_path)
    assert f"**{share(0, 40)}**" in text
    assert f"**{share(19, 20)}** | 0 |" in text
    assert "Not found: decode: inconclusive after 12 pairs" in text


def test_the_rivals_get_the_first_ten_pairs_of_the_same_log(tmp_path):
    """Twenty per cent slower in each: all of them say so."""
    written(tmp_path, "decode", [line("decode", "regressed", 1.2)])
    (gate,) = read("decode", tmp_path)
    assert all(judged(gate, "decode_tps").rivals.values())
    assert not any(judged(line("decode", "pass"), "decode_tps").rivals.values())


def test_a_share_has_its_exact_interval():
    """Clopper-Pearson: none of forty is up to 8.8 %."""
    assert share(0, 40) == "0 / 40, 0.0% (0.0%–8.8%)"
    assert share(0, 0) == "–"
