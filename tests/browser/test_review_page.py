"""The review page in a real browser: opens from disk, obeys buttons and keys, saves what we can read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from two_person_scenes import BOXES, build, write_scenes

from maskps.masks import Outline, outline_from_polygons
from maskps.structures import PersonSearchDataset
from maskps_annotation.collected import COLLECTED_NAME, CollectedPerson, Drawing, write_collected
from maskps_annotation.decisions import Decisions, outline_key, read_decisions
from maskps_annotation.review import write_review
from maskps_annotation.touches import Touches

SCRIPT = "<script>alert(1)</script>.jpg"
NAMES = ["a.jpg", SCRIPT, "say \"hi\" & 'bye' <b>.jpg", "שלום ‮עולם.jpg"]
IDENTITY = '"><img src=x onerror=alert(2)>'
MISSING = 7  # the last person

Visits = Callable[..., Any]


def outline(row: int) -> Outline:
    """An outline that touches its box; the later the person, the less of the box it covers."""
    x0, y0, x1, y1 = BOXES[row % 2]
    low = y0 + 4.0 * row
    return outline_from_polygons([[(x0, low), (x1, low), (x1, y1), (x0, y1)]], where="test")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PersonSearchDataset:
    """Four scenes, with names that mean something to a browser, as has the first identity."""
    made = write_scenes(tmp_path_factory.mktemp("review") / "data", NAMES)
    return replace(made, train_ids=np.array([IDENTITY, *made.train_ids[1:]]))


@pytest.fixture(scope="module")
def review(dataset: PersonSearchDataset) -> Path:
    """The page of all eight persons; the last one has no outline."""
    outlines = {row: outline(row) for row in range(8) if row != MISSING}
    subset = build(dataset, dataset.root.parent / "subset", outlines)
    write_review(subset, dataset, subset.parent / "review.html")
    return subset.parent / "review.html"


def card(page: Any, row: int) -> Any:
    """The card of a person, scrolled to and therefore built."""
    found = page.locator(f"article[data-row='{row}']")
    found.scroll_into_view_if_needed()
    found.locator("h2").wait_for()
    return found


def button(page: Any, row: int, name: str) -> Any:
    return card(page, row).get_by_role("button", name=name, exact=True)


def counts(page: Any) -> str:
    return str(page.locator("#counts").text_content())


def saved(page: Any, tmp_path: Path, press: str = "") -> Decisions:
    """The file that the page saves, by the button or by a key."""
    with page.expect_download() as caught:
        if press:
            page.keyboard.press(press)
        else:
            page.get_by_role("button", name="Save decisions").click()
    path = tmp_path / caught.value.suggested_filename
    caught.value.save_as(path)
    return read_decisions(path)


def load(page: Any, tmp_path: Path, *entries: dict[str, Any], **head: Any) -> str:
    """Loads a file of decisions; returns what the page says to it."""
    content = {"format": "maskps-review", "version": 1, "fingerprint": "f1", "subset": "subset"}
    path = tmp_path / "other.review.json"
    path.write_text(json.dumps(content | {"reviewer": "eva", "decisions": entries} | head))
    before = page.locator("#message").text_content()
    page.locator("#load-file").set_input_files(path)
    page.wait_for_function("text => document.getElementById('message').textContent !== text", arg=before)
    return str(page.locator("#message").text_content())


def entry(row: int, decision: str, comment: str = "", *, of: Outline | None = None) -> dict[str, Any]:
    shown = None if row == MISSING else outline(row)
    return {
        "scene": NAMES[row // 2],
        "person": row % 2,
        "decision": decision,
        "comment": comment,
        "outline": outline_key(shown if of is None else of),
    }


def test_it_opens_from_disk_and_asks_for_nothing_else(visit_each: Visits, review: Path) -> None:
    made = visit_each(review)
    card(made.page, 0).locator("image").first.wait_for()
    assert made.faults() == []
    assert counts(made.page) == "0 of 8 decided: 0 accepted, 0 rejected"


def test_every_picture_is_shown(visit: Visits, review: Path) -> None:
    page = visit(review, height=5000).page
    card(page, MISSING)
    script = """async () => {
      const all = [...document.querySelectorAll("image")].map((one) => one.href.baseVal);
      return Promise.all(all.map((url) => new Promise((done) => {
        const image = new Image();
        image.onload = () => done(image.naturalWidth > 1);
        image.onerror = () => done(false);
        image.src = url;
      })));
    }"""
    assert page.evaluate(script) == [True] * (7 * 2 + 1)


def test_buttons_decide_and_take_back(visit_each: Visits, review: Path) -> None:
    page = visit_each(review).page
    accept, reject = button(page, 0, "Accept"), button(page, 0, "Reject")
    accept.click()
    assert accept.get_attribute("aria-pressed") == "true"
    reject.click()
    assert (accept.get_attribute("aria-pressed"), reject.get_attribute("aria-pressed")) == ("false", "true")
    assert counts(page).endswith("0 accepted, 1 rejected")
    reject.click()
    assert reject.get_attribute("aria-pressed") == "false"
    assert counts(page).endswith("0 accepted, 0 rejected")


def test_keys_decide_go_on_and_undo(visit: Visits, review: Path, tmp_path: Path) -> None:
    page = visit(review).page
    page.select_option("#order", "image")
    page.locator("h1").click()
    for key in ("j", "a", "r", "1", "7", "j", "j", "k", "a", "u", "c"):
        page.keyboard.press(key)
    page.keyboard.type("arm")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("r")
    found = {(one.scene, one.person): (one.decision, one.comment) for one in saved(page, tmp_path).decisions}
    assert found == {
        (NAMES[0], 0): ("accept", ""),
        (NAMES[0], 1): ("reject", "missed part; too coarse"),
        (NAMES[1], 0): ("", "arm"),
        (NAMES[1], 1): ("reject", ""),
    }


def test_letters_in_a_comment_are_no_commands(visit: Visits, review: Path) -> None:
    page = visit(review).page
    card(page, 0).get_by_role("textbox").fill("")
    card(page, 0).get_by_role("textbox").press_sequentially("a bar, junk?")
    assert card(page, 0).get_by_role("textbox").input_value() == "a bar, junk?"
    assert counts(page).endswith("0 accepted, 0 rejected")


def test_a_reason_is_a_part_of_the_comment_and_goes_again(visit: Visits, review: Path) -> None:
    page = visit(review).page
    text = card(page, 0).get_by_role("textbox")
    text.fill("left hand")
    button(page, 0, "too much").click()
    assert text.input_value() == "left hand; too much"
    button(page, 0, "too much").click()
    assert text.input_value() == "left hand"


def test_the_saved_file_is_what_we_read(visit: Visits, review: Path, tmp_path: Path) -> None:
    page = visit(review).page
    page.get_by_label("Your name").fill("Zoë")
    button(page, 2, "Reject").click()
    card(page, 2).get_by_role("textbox").fill('<b>"שלום"</b>\nline')
    button(page, MISSING, "Reject: have it drawn").click()
    decisions = saved(page, tmp_path, "Control+s")
    assert (decisions.fingerprint, decisions.reviewer) == ("f1", "Zoë")
    found = [(one.scene, one.person, one.comment, one.outline) for one in decisions.decisions]
    assert found == [
        (SCRIPT, 0, '<b>"שלום"</b>\nline', outline_key(outline(2))),
        (NAMES[3], 1, "", ""),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["subset-Zoë.review.json"]


def test_decisions_outlive_a_reload(visit: Visits, review: Path) -> None:
    page = visit(review).page
    button(page, 1, "Reject").click()
    card(page, 1).get_by_role("textbox").fill("no legs")
    page.reload()
    assert button(page, 1, "Reject").get_attribute("aria-pressed") == "true"
    assert card(page, 1).get_by_role("textbox").input_value() == "no legs"
    assert counts(page).endswith("1 rejected")


def test_leaving_warns_until_everything_is_saved(visit: Visits, review: Path, tmp_path: Path) -> None:
    made = visit(review)
    made.page.reload()
    assert made.dialogs == []
    button(made.page, 0, "Accept").click()
    made.page.reload()
    assert made.dialogs == ["beforeunload"]
    made.page.locator("h1").click()
    saved(made.page, tmp_path)
    made.page.reload()
    assert made.dialogs == ["beforeunload"]


def test_loading_adds_and_leaves_what_is_here(visit: Visits, review: Path, tmp_path: Path) -> None:
    page = visit(review).page
    button(page, 0, "Accept").click()
    said = load(page, tmp_path, entry(0, "reject", "no"), entry(1, "accept"), entry(2, "", "look"))
    assert "2 decisions loaded" in said and "1 different from those here" in said
    assert button(page, 0, "Accept").get_attribute("aria-pressed") == "true"
    assert "eva: rejected: no" in str(card(page, 0).text_content())
    assert button(page, 1, "Accept").get_attribute("aria-pressed") == "true"
    assert card(page, 2).get_by_role("textbox").input_value() == "look"


def test_a_decision_about_another_outline_is_shown_and_not_taken(
    visit: Visits, review: Path, tmp_path: Path
) -> None:
    page = visit(review).page
    said = load(page, tmp_path, entry(0, "reject", "too coarse", of=outline(2)))
    assert "0 decisions loaded" in said and "changed since" in said
    assert "Before the outline changed, eva: rejected: too coarse" in str(card(page, 0).text_content())
    assert counts(page).endswith("0 rejected")


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ({"fingerprint": "f2"}, "another data set"),
        ({"format": "coco"}, "not a file of decisions"),
        ({"version": 2}, "version"),
        ({"decisions": [{"scene": "a.jpg"}]}, "edited"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(
    visit: Visits, review: Path, tmp_path: Path, head: dict[str, Any], why: str
) -> None:
    made = visit(review)
    said = load(made.page, tmp_path, **head)
    assert said.startswith("other.review.json was not loaded: ") and why in said
    assert made.complaints == []


def test_names_stay_text(visit: Visits, review: Path) -> None:
    made = visit(review, height=5000)
    card(made.page, MISSING)
    names = made.page.locator("h2 > bdi").all_text_contents()
    assert sorted(names) == sorted(name for name in NAMES for _ in range(2))
    assert IDENTITY in made.page.locator("h2 small bdi").all_text_contents()
    assert made.dialogs == []
    assert made.page.locator("article img, article script, article b:not(.findings b)").count() == 0


def test_the_policy_keeps_foreign_code_from_running(visit: Visits, review: Path) -> None:
    made = visit(review)
    made.page.evaluate("""() => {
      const foreign = document.createElement("script");
      foreign.textContent = "window.ran = true";
      document.body.append(foreign);
    }""")
    assert made.page.evaluate("window.ran") is None
    assert "Content Security Policy" in made.complaints[0]


def test_it_works_where_the_browser_keeps_nothing(visit: Visits, review: Path, tmp_path: Path) -> None:
    denied = """Object.defineProperty(window, "localStorage", {
      get() { throw new DOMException("denied", "SecurityError"); }
    })"""
    made = visit(review, before=denied)
    assert "cannot keep" in made.page.locator("#kept").text_content()
    button(made.page, 0, "Accept").click()
    assert len(saved(made.page, tmp_path).decisions) == 1
    assert made.complaints == []


@pytest.mark.parametrize(("width", "height", "dark"), [(1366, 768, False), (390, 844, True)])
def test_nothing_is_wider_than_the_window(
    visit_each: Visits, review: Path, width: int, height: int, dark: bool
) -> None:
    made = visit_each(review, width=width, height=height, dark=dark)
    page = made.page
    for row in range(8):
        card(page, row)
    assert made.faults() == [] and made.is_dark == dark
    wide = "[...document.querySelectorAll('main *')].filter((one) => one.getBoundingClientRect().right > %d)"
    assert page.evaluate(f"{wide % width}.length") == 0


def test_cards_far_away_are_built_when_they_come_near(visit: Visits, review: Path) -> None:
    page = visit(review, width=390, height=600).page
    card(page, 0)
    last = page.locator("article").last
    assert last.locator("svg").count() == 0
    last.scroll_into_view_if_needed()
    last.locator("svg").first.wait_for()


def test_all_that_is_shown_is_printed(visit: Visits, review: Path) -> None:
    page = visit(review, width=390, height=600).page
    page.pdf()
    assert page.locator("article svg").count() == 7 * 3 + 1


def shown(page: Any) -> list[int]:
    return [int(row) for row in page.eval_on_selector_all("article", "all => all.map(a => a.dataset.row)")]


def test_the_odd_come_first_and_the_missing_last(visit: Visits, review: Path) -> None:
    page = visit(review).page
    assert shown(page) == [0, 6, 1, 5, 2, 4, 3, 7]
    page.select_option("#order", "image")
    assert shown(page) == list(range(8))


def test_filters_and_search_narrow_the_list(visit: Visits, review: Path) -> None:
    page = visit(review).page
    button(page, 2, "Reject").click()
    card(page, 3).get_by_role("textbox").fill("Missed an arm")
    found = {}
    for name in ("undecided", "accepted", "rejected", "commented", "missing", "differing"):
        page.select_option("#show", name)
        found[name] = sorted(shown(page))
    page.select_option("#show", "all")
    page.get_by_label("Search").fill("ARM")
    assert shown(page) == [3]
    assert counts(page).endswith("1 shown")
    page.get_by_label("Search").fill("SCRIPT")
    assert sorted(shown(page)) == [2, 3]
    assert found == {
        "undecided": [0, 1, 3, 4, 5, 6, 7],
        "accepted": [],
        "rejected": [2],
        "commented": [3],
        "missing": [7],
        "differing": [],
    }


def test_proposals_are_named_filtered_and_ordered(
    visit: Visits, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    subset = build(dataset, tmp_path / "subset", {row: outline(row) for row in range(4)})
    changes = [Touches("run first"), Touches("run first", 1), None, Touches("run first", 2, 0, 3)]
    drawn = {row: Drawing("ann", "a.json", "0" * 64, "", "", one) for row, one in enumerate(changes)}
    record = {row: CollectedPerson(one) for row, one in drawn.items()}
    write_collected(subset / COLLECTED_NAME, record, dataset.train)
    write_review(subset, dataset, tmp_path / "review.html")
    page = visit(tmp_path / "review.html", height=5000).page
    assert "proposed by run first, accepted by ann" in card(page, 0).text_content()
    assert (
        "proposed by run first, corrected by ann: vertices 2 moved, 3 deleted" in card(page, 3).text_content()
    )
    assert "by ann" in card(page, 2).text_content() and "proposed" not in card(page, 2).text_content()

    def shown(select: str, option: str) -> list[int]:
        page.locator(select).select_option(label=option)
        return [int(one.get_attribute("data-row")) for one in page.locator("article").all()]

    assert shown("#order", "Most corrected proposal first")[:2] == [3, 1]
    assert shown("#show", "Proposals accepted") == [0]
    assert shown("#show", "Proposals corrected") == [3, 1]


def test_without_proposals_the_page_does_not_offer_them(visit: Visits, review: Path) -> None:
    assert "Proposals" not in visit(review).page.locator("#show").text_content()
