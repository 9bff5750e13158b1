"""How does mlx-vlm load a model and answer? Imports mlx and mlx_vlm; start with ``backend``.

``releases`` is about old releases of the library; ``moondream2_canary`` and ``phi3_v_*`` load
canaries (tiny trained models) of families whose sizes are constants in the library's code.
"""
