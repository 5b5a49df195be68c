"""docs/article.md, its translation and its figures are what study/ makes of results.json."""

import xml.etree.ElementTree as ElementTree

import pytest
from study_modules import ROOT, study

pytest.importorskip("matplotlib")
page, measure, figures = study("page"), study("measure"), study("figures")


@pytest.fixture(scope="module")
def results():
    return measure.read()


@pytest.mark.parametrize("language", page.PAGES)
def test_page_is_written_from_the_results(results, language):
    assert page.PAGES[language].read_text(encoding="utf-8") == page.render(results, language)


def test_both_languages_state_the_same_numbers():
    english, chinese = (page.fields(page.template(language)) for language in page.PAGES)
    assert english == chinese
    assert len(english) > 60


def test_page_follows_the_numbers(results):
    changed = {**results, "order": {**results["order"], "with": 123.4}}
    assert "123.4" in page.render(changed, "en")
    assert "123.4" in page.render(changed, "zh")


def test_chinese_lines_are_joined_and_paragraphs_are_not(results):
    template, chinese = page.template("zh"), page.render(results, "zh")
    assert "在 CPU 上几分钟内\n测完全部内容" in template
    assert "在 CPU 上几分钟内测完全部内容" in chinese
    assert chinese.count("\n\n") - template.count("\n\n") == 0
    assert page.render(results, "en").count("\n") > 100


def test_every_claim_is_measured(results):
    assert results.keys() == measure.PARTS.keys()


def _labels(path):
    texts = ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(text.itertext()) for text in texts]


def test_committed_figures_are_drawn_from_the_results(results, tmp_path):
    for path in figures.draw(results, tmp_path):
        committed = figures.FOLDER / path.name
        assert _labels(committed) == _labels(path)
        assert committed.stat().st_size < 150_000
        for language in page.PAGES:
            assert f"(figures/{path.name})" in page.template(language)


def test_figures_have_units(results, tmp_path):
    labels = " ".join(label for path in figures.draw(results, tmp_path) for label in _labels(path))
    for part in (
        "loss, nats a byte",
        "position, bytes",
        "distance, tokens",
        "shift of both tokens",
    ):
        assert part in labels


def test_results_are_written_a_line_a_part(results, tmp_path):
    path = tmp_path / "results.json"
    measure.write(results, path)
    assert measure.read(path) == results
    assert path.read_text(encoding="utf-8") == measure.FILE.read_text(encoding="utf-8")
    assert (ROOT / "study" / "results.json") == measure.FILE
