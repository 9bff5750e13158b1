"""The upgrade gate: two environments, behaviour first, then interleaved timing, one verdict.

``records`` are its frozen types; ``selection`` and ``planning`` say what is to be done;
``behaviour`` asks one deployment in one fresh process and ``timed`` times one, on a ``side``;
``reference`` has what canaries should compute; ``journal`` keeps every observation as it comes;
``compare`` and ``decide`` are pure: observations to verdicts; ``run`` drives them; ``report`` and
``screen`` show the result in the words of ``view``.
"""
