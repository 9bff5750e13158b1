"""What is a deployment asked, and what is each answer worth?

Questions with known answers, generated or from files (``vqa``, ``diagram``), and their scoring.
May import ``judging``, ``servers`` and the rooms below them, never ``backends``. Start reading in
``questions.py``; canaries were trained on exactly these prompts and images, which must not change.
"""
