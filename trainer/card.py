"""The model card: what travels with the model for whoever has to answer for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer.claims import CHOSEN, claims, labels_told, rate_text
from trainer.recipe import Recipe


def build(recipe: Recipe, labels: Sequence[str], good: Sequence[str], metrics: dict[str, Any], fingerprint: str) -> str:
    """Markdown."""
    shape, costs = recipe.input, recipe.costs
    lines = [
        f"# {recipe.name} {recipe.version}",
        "",
        f"Sorts pictures of one part into {', '.join(labels)}; good: {', '.join(good)}.",
        "",
        "## Intended use",
        "",
        "One part per picture, cut out square as the line device cuts it, in light like that of the training pictures.",
        "Another part, another camera or another light is another model.",
        "",
        "## How it was made",
        "",
        f"- Network `{recipe.network.kind}`, {shape.width_px} × {shape.height_px} px, "
        f"{shape.channels} channel{'s' if shape.channels > 1 else ''}, full int8.",
        f"- Data fingerprint `{fingerprint[:16]}`; the recipe is `recipe.yaml`, seed {recipe.seed}.",
        f"- Limits from the costs: escape {costs.escape:g}, overkill {costs.overkill:g}, review {costs.review:g}, "
        f"expecting {100 * costs.defect_share:g} % defective parts.",
        *(f"- {line}" for line in labels_told(metrics.get("data", {}))),
        "",
        "## Figures",
        "",
    ]
    for split, got in metrics[CHOSEN].items():
        lines.append(
            f"- Split {split}, {got['parts']} parts: accuracy {got['accuracy']}, "
            f"escapes {rate_text(got['escape_rate'])}, overkill {rate_text(got['overkill_rate'])}."
        )
    lines += ["", *claims(metrics[CHOSEN]["grouped"]), ""]
    return "\n".join(lines)
