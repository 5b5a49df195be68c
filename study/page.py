"""docs/article.md and its Chinese translation, from results.json and the two templates in page/, in
which {part[key]:.2f} is a number of results.json. For __main__.py and the test.
"""

from __future__ import annotations

import math
import re
import string
from pathlib import Path
from typing import Any

from study import extension
from study.claims import decay, rotation

ROOT = Path(__file__).parents[1]
TEMPLATES = Path(__file__).parent / "page"
PAGES = {"en": ROOT / "docs" / "article.md", "zh": ROOT / "docs" / "article.zh.md"}

# Words of the tables that are written here; what is missing stands as it is.
ENGLISH = {
    "nothing": "nothing done",
    "learned": "learned positions",
    "sinusoidal": "sinusoidal positions",
    "t5": "T5's bias",
    "none": "no positions",
}
CHINESE = {
    "nothing": "不做任何处理",
    "linear, factor 2": "线性内插，factor 2",
    "linear, factor 8": "线性内插，factor 8",
    "NTK, α = 8": "NTK，α = 8",
    "NTK, α = 64": "NTK，α = 64",
    "YaRN, factor 8": "YaRN，factor 8",
    extension.DYNAMIC: "动态 NTK，factor 8",
    extension.TUNED: "线性内插，factor 8，再微调",
    extension.WINDOWED: "只看最近 256 字节",
    "learned": "可学习的绝对位置",
    "sinusoidal": "正弦位置",
    "t5": "T5 偏置",
    "none": "没有位置信息",
    "positions": "位置",
    "loss rises at": "损失从哪里上升",
    "angles are new at": "角度从哪里未见过",
    "schedule": "频率",
    "bound at 256": "上界，距离 256",
    "bound at 4096": "上界，距离 4096",
    "steps that rise": "上升的步数",
    "lowest mean cosine": "余弦均值的最小值",
    "dynamic NTK": "动态 NTK",
    "linear": "线性内插",
    "scheme": "方案",
    "cached keys keep their bits": "缓存的 key 逐位不变",
    "largest change": "最大变化",
    "after re-rotation": "重新旋转之后",
    "yes": "是",
    "no": "否",
}


def _word(text: str, language: str) -> str:
    return (CHINESE if language == "zh" else ENGLISH).get(text, text)


def _table(rows: list[list[str]], language: str) -> str:
    """The first row is the header; the first cell of each row and the header are words."""
    first, *others = ([_word(cell, language) for cell in row] for row in rows)
    lines = [first, ["---"] * len(first), *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _losses(results: dict[str, Any], language: str) -> str:
    header = ["positions", *(f"{first}–{last}" for first, last in extension.SPANS)]
    reach = results["reach"]["small"]
    rows = [[*header, "loss rises at", "angles are new at"]]
    for name, losses in extension.table(results["curves"]).items():
        cells = ["–" if math.isnan(loss) else f"{loss:.2f}" for loss in losses]
        rises = extension.rises_at(results["curves"][name])
        cells += ["–" if rises is None else f"{rises}"]
        cells += [f"{reach[name]:.0f}" if name in reach else "–"]
        rows.append([name, *cells])
    return _table(rows, language)


def _decay(results: dict[str, Any], language: str) -> str:
    header = ["schedule", "bound at 256", "bound at 4096", "steps that rise", "lowest mean cosine"]
    rows = [header]
    for name in decay.SCHEDULES:
        facts = results["decay"][name]
        numbers = [f"{facts[key]:.2f}" for key in ("at_256", "at_4096")]
        rising, lowest = f"{100 * facts['rising']:.0f} %", f"{facts['lowest_score']:.2f}"
        rows.append([name, *numbers, rising, lowest])
    return _table(rows, language)


def _prefix(results: dict[str, Any], language: str) -> str:
    rows = [["scheme", "cached keys keep their bits", "largest change", "after re-rotation"]]
    for name in rotation.SCHEMES:
        facts = results["prefix"][name]
        changed = [f"{facts[key]:.2g}" for key in ("change", "after_rerotate")]
        word = "yes" if facts["stable"] else "no"
        rows.append(["nothing" if name == "none" else name, word, *changed])
    return _table(rows, language)


# A line that ends and one that begins with a Chinese sign: between them no space is wanted.
CHINESE_BREAK = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef])\n *(?=[\u3000-\u9fff\uff00-\uffef])")


def fields(template: str) -> set[str]:
    """What a template takes from the results."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def template(language: str) -> str:
    return (TEMPLATES / f"article.{language}.md").read_text(encoding="utf-8")


def render(results: dict[str, Any], language: str) -> str:
    page = template(language).format(
        **results,
        losses=extension.table(results["curves"]),
        table_of_losses=_losses(results, language),
        table_of_decay=_decay(results, language),
        table_of_prefixes=_prefix(results, language),
        float32=_by_power(results["relative"]["shift"], results["relative"]["float32"]),
        largest_of_ours=max(results["relative"]["ours"]),
        largest_of_heads=max(results["heads"].values()),
    )
    return CHINESE_BREAK.sub("", page)


def _by_power(shifts: list[float], values: list[float]) -> dict[str, float]:
    """2^20 → the value at a shift of so much."""
    return {f"2^{math.log2(at):.0f}": value for at, value in zip(shifts, values, strict=True)}


def write(results: dict[str, Any]) -> list[Path]:
    for language, path in PAGES.items():
        path.write_text(render(results, language), encoding="utf-8")
    return list(PAGES.values())
