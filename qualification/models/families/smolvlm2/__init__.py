"""SmolVLM2: SmolVLM's files, whose ``model_type`` they have, trained on clips too."""

from dataclasses import replace

from qualification.models.families import Canary
from qualification.models.families.smolvlm import FAMILY as SMOLVLM

FAMILY = replace(
    SMOLVLM,
    name="smolvlm2",
    model_types=("smolvlm",),
    canary=Canary(
        "fixtures.make_canaries.smolvlm2:SmolVLM2",
        end_of_turn="<end_of_utterance>",
        answer_prefix=" ",
    ),
)
