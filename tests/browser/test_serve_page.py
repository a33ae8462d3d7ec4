"""The page of maskps serve in a real browser: from a dropped photo to saved hits, by mouse and by keys."""

from __future__ import annotations

import base64
import csv
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_server import Served, served
from PIL import Image
from stripe_photos import StripePredictor

from maskps.gallery import Gallery, Where

RED, GREEN, BLUE, DARK_RED, GREY = (200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 20, 10), (90, 90, 90)
SCRIPT = "<img src=x onerror=alert(1)>.png"
NOON = 1_700_000_000

Visits = Callable[..., Any]


class WidePredictor(StripePredictor):
    """Stripes of 64 pixels."""

    def detect(self, image: np.ndarray) -> Any:
        found = super().detect(image[:, ::4])
        return found._replace(boxes=found.boxes * np.array([4, 1, 4, 1], np.float32))


def write_scene(path: Path, *colours: tuple[int, int, int]) -> Path:
    """Stripes of 64 x 160 pixels; black is nobody."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.repeat(np.array([colours], np.uint8), 64, axis=1)
    Image.fromarray(np.repeat(pixels, 160, axis=0)).save(path)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two cameras, a day apart; one photo is gone, one has a hostile name, one has no camera and time."""
    folder = tmp_path_factory.mktemp("gallery")
    with Gallery.open(folder / "people.gallery", WidePredictor()) as gallery:
        for number in range(4):
            scene = write_scene(folder / "door" / f"{number}.png", RED, GREEN, (0, 10 + number, 90))
            gallery.add([scene], camera="door", start=NOON + 600 * number)
        gallery.add(
            [write_scene(folder / "yard" / SCRIPT, DARK_RED, BLUE)], camera="yard", start=NOON + 86400
        )
        gone = write_scene(folder / "yard" / "gone.png", (180, 0, 5))
        gallery.add([gone], camera="yard", start=NOON + 90000)
        gallery.add([write_scene(folder / "known.png", GREY)])
        gone.unlink()
        with served(gallery) as running:
            yield running


@pytest.fixture(scope="module")
def query(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of three persons: blue, red, green."""
    return write_scene(tmp_path_factory.mktemp("query") / SCRIPT, BLUE, RED, GREEN)


def drop(page: Any, path: Path) -> None:
    """Drops a file on the page, as from a folder's window."""
    content = base64.b64encode(path.read_bytes()).decode()
    transfer = page.evaluate_handle(
        """([name, content]) => {
          const transfer = new DataTransfer();
          const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
          transfer.items.add(new File([bytes], name, { type: "image/png" }));
          return transfer;
        }""",
        [path.name, content],
    )
    for kind in ("dragover", "drop"):
        page.dispatch_event("#drop", kind, {"dataTransfer": transfer})


def frames(page: Any) -> Any:
    return page.locator("#stage .frame")


def until(page: Any, script: str) -> None:
    """Waits until JavaScript gives true; playwright's own way needs eval, which the page forbids."""
    for _ in range(250):
        if page.evaluate(script):
            return
        page.wait_for_timeout(20)
    pytest.fail(f"never true: {script}")


def number_of_hits(page: Any, number: int) -> None:
    until(page, f"document.querySelectorAll('#hits > li').length === {number}")


def hits(page: Any) -> list[str]:
    """The texts of the hits, when a search has ended."""
    page.locator("#busy").wait_for(state="hidden")
    return [str(text) for text in page.locator("#hits > li").all_text_contents()]


def found(visit: Visits, server: Served, query: Path, **window: Any) -> Any:
    """The page with the hits of the red person."""
    made = visit(server.address, **window)
    drop(made.page, query)
    frames(made.page).nth(1).click()
    made.page.locator("#hits > li").first.wait_for()
    return made


def saved(page: Any, button: str, tmp_path: Path) -> Path:
    with page.expect_download() as caught:
        page.get_by_role("button", name=button).click()
    path = tmp_path / str(caught.value.suggested_filename)
    caught.value.save_as(path)
    return path


def fragment(page: Any) -> str:
    return str(page.url.split("#")[1])


def test_a_click_on_the_second_person_of_a_dropped_photo_finds_those_alike(
    visit_each: Visits, server: Served, query: Path
) -> None:
    made = found(visit_each, server, query)
    page = made.page
    assert "3 persons found" in page.locator("#found").text_content()
    assert frames(page).nth(1).get_attribute("aria-pressed") == "true"
    texts = hits(page)
    assert len(texts) == 16 and [text[:8] for text in texts[:4]] == [f"{rank}. 1.000" for rank in range(1, 5)]
    assert page.locator("#status").text_content() == "16 hits among 16 persons."
    page.locator("#hits img.crop").nth(3).wait_for()
    assert page.get_by_text("the file is gone, or has changed").first.is_visible()
    assert page.locator("#stage-name").text_content() == SCRIPT
    assert made.complaints == [] and made.dialogs == [] and page.locator("#stage-name img").count() == 0


def test_arrow_keys_and_enter_do_the_same(visit_each: Visits, server: Served, query: Path) -> None:
    page = visit_each(server.address).page
    page.set_input_files("#file", query)
    frames(page).first.wait_for()
    assert page.evaluate("document.activeElement.className") == "frame"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator("#hits > li").first.wait_for()
    assert frames(page).nth(1).get_attribute("aria-pressed") == "true"
    assert hits(page)[0].startswith("1. 1.000door")


def test_a_dragged_and_a_typed_box_ask_for_what_is_in_them(
    visit: Visits, server: Served, query: Path
) -> None:
    page = visit(server.address).page
    drop(page, query)
    frames(page).first.wait_for()
    place = page.locator("#stage .framed").bounding_box()
    x, y, scale = place["x"], place["y"], place["width"] / 192
    page.mouse.move(x + 140 * scale, y + 30 * scale)  # begins on a person's frame
    page.mouse.down()
    page.mouse.move(x + 185 * scale, y + 150 * scale, steps=4)
    page.mouse.up()
    page.locator("#hits > li").first.wait_for()
    assert page.locator("#stage .drawn").is_visible()
    assert page.locator("#stage [aria-pressed=true]").count() == 0
    assert page.locator("#examples li").count() == 1
    assert [text[3:8] for text in hits(page)[:5]] == ["1.000"] * 4 + ["0.577"]
    assert page.locator("#hits > li").first.get_attribute("data-person") == "2"  # the first green one
    page.get_by_text("Somebody has no frame?").click()
    page.get_by_label("Or type the box").fill("70, 5, 120, 90")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('#hits > li').dataset.person === '1'")  # the first red one


def test_filters_narrow_the_hits_and_the_address_keeps_them(
    visit_each: Visits, server: Served, query: Path
) -> None:
    page = found(visit_each, server, query).page
    page.get_by_role("checkbox", name="door").uncheck()
    number_of_hits(page, 3)
    assert all("yard" in text for text in hits(page))
    assert "camera=yard" in fragment(page) and "1 set" in page.locator("#filters summary").text_content()
    page.get_by_label("Least similarity").fill("0.9")
    number_of_hits(page, 2)
    page.get_by_role("button", name="Reset the filters").click()
    number_of_hits(page, 16)
    page.get_by_role("checkbox", name="one hit per photo").check()
    number_of_hits(page, 7)
    page.get_by_label("Least similarity").fill("1")
    page.get_by_label("Hits at most").select_option("20")
    number_of_hits(page, 4)
    for name in ("door", "yard"):
        page.get_by_role("checkbox", name=name).uncheck()
    page.get_by_text("Nobody in the gallery passes the filters").wait_for()
    assert page.locator("#results").is_hidden()


def test_the_state_comes_back_from_the_address_but_never_a_picture(
    visit: Visits, server: Served, query: Path
) -> None:
    page = found(visit, server, query).page
    page.get_by_role("button", name="Search with this one, hit 5").click()
    until(page, "location.hash.includes('person=')")
    page.get_by_role("checkbox", name="door").uncheck()
    number_of_hits(page, 3)
    before = hits(page)
    assert "data:" not in page.url and "blob" not in page.url and len(page.url) < 300
    again = visit(page.url).page
    again.locator("#hits > li").first.wait_for()
    assert hits(again) == before and again.locator("#stage-area").is_hidden()
    assert not again.get_by_role("checkbox", name="door").is_checked()


def test_back_leads_to_the_search_before_with_a_photo_too(visit: Visits, server: Served, query: Path) -> None:
    page = found(visit, server, query).page
    frames(page).nth(2).click()
    until(page, "document.querySelector('#hits > li').dataset.person === '2'")
    page.get_by_role("button", name="Search with this one, hit 6").click()
    until(page, "location.hash.includes('person=')")
    page.go_back()
    until(page, "document.querySelector('#hits > li').dataset.person === '2'")
    assert "person=" not in page.url
    page.go_back()
    until(page, "document.querySelector('#hits > li').dataset.person === '1'")
    page.go_forward()
    until(page, "document.querySelector('#hits > li').dataset.person === '2'")


def test_the_focus_stays_where_it_was_when_hits_are_shown_anew(
    visit: Visits, server: Served, query: Path
) -> None:
    page = found(visit, server, query).page
    add = page.locator("#hits [data-person='2']").get_by_role("button", name="Add as example")
    add.focus()
    page.keyboard.press("Enter")
    until(page, "document.querySelector('#hits b').textContent !== '1.000'")
    assert page.evaluate("document.activeElement.ariaLabel").startswith("Add as example")
    assert page.evaluate("document.activeElement.closest('li').dataset.person") == "2"
    page.locator("#strip .track button").last.focus()
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('#hits > li').length < 4")
    assert page.evaluate("document.activeElement.closest('#strip') !== null")


def test_a_scene_opens_with_the_person_framed_and_keys_lead_on(
    visit_each: Visits, server: Served, query: Path
) -> None:
    page = found(visit_each, server, query).page
    page.locator("#hits .opens").nth(1).click()
    scene = page.locator("#scene")
    scene.locator(".frame").first.wait_for()
    assert scene.locator(".frame").count() == 3
    assert scene.locator("[aria-pressed=true].frame").get_attribute("aria-label").startswith("Person 1 of 3")
    assert "1.png" in scene.locator("#scene-facts").text_content()
    until(page, "document.querySelector('#scene img').naturalWidth === 192")
    page.keyboard.press("ArrowRight")
    scene.get_by_text("2.png").wait_for()
    page.keyboard.press("r")
    assert page.locator("#scene-right").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Escape")
    assert not scene.is_visible() and page.locator("#hits > li").nth(2).get_attribute("class") == "card right"
    assert page.evaluate("document.activeElement.className") == "opens"
    gone = page.locator("#hits > li", has_text="gone").locator(".opens")
    gone.click()
    scene.get_by_text("It cannot be shown: the file is gone").wait_for()


def test_another_person_of_a_scene_is_asked_for_by_a_click(
    visit: Visits, server: Served, query: Path
) -> None:
    page = found(visit, server, query).page
    page.locator("#hits .opens").first.click()
    page.locator("#scene .frame").nth(1).click()
    until(page, "document.querySelector('#hits > li').dataset.person === '2'")
    assert fragment(page).endswith("person=2") and not page.locator("#scene").is_visible()


def test_hits_become_examples_and_their_mean_is_asked_for(visit: Visits, server: Served, query: Path) -> None:
    page = found(visit, server, query).page
    green = page.locator("#hits [data-person='2']")
    green.get_by_role("button", name="Add as example").click()
    page.get_by_text("2 examples, averaged").wait_for()
    until(page, "document.querySelector('#hits b').textContent !== '1.000'")
    assert page.locator("#hits b").first.text_content() == "0.839"  # the dark red one has some green
    page.get_by_role("button", name="Remove example 2").click()
    until(page, "document.querySelector('#hits b').textContent === '1.000'")
    for rank in (1, 2):
        page.get_by_role("button", name=f"Right, hit {rank}", exact=True).click()
    page.get_by_role("button", name="Add the right ones as examples").click()
    page.get_by_text("3 examples, averaged").wait_for()


def test_a_scene_of_the_gallery_can_be_chosen_from(visit: Visits, server: Served) -> None:
    page = visit(server.address).page
    page.get_by_role("button", name="Scenes of the gallery").click()
    scenes = page.locator("#scenes-list li")
    scenes.nth(5).wait_for()
    assert scenes.count() == 7
    assert scenes.filter(has_text="gone").get_by_role("button").is_disabled()
    page.locator("#scenes-camera").select_option("yard")
    until(page, "document.querySelectorAll('#scenes-list li').length === 2")
    assert scenes.first.locator("bdi").text_content() == SCRIPT
    scenes.first.get_by_role("button").click()
    frames(page).nth(1).click()
    page.locator("#hits > li").first.wait_for()
    assert "yard" in hits(page)[0] and "person=" in fragment(page)


def test_a_bar_of_the_timeline_filters_camera_and_time(visit: Visits, server: Served, query: Path) -> None:
    page = found(visit, server, query).page
    strip = page.locator("#strip .row")
    assert strip.count() == 2
    assert strip.locator("button.link").all_text_contents() == ["door", "yard"]
    assert page.locator("#timeless").text_content() == "1 hit without a time."
    strip.nth(1).locator(".track button").last.click()
    until(page, "document.querySelectorAll('#hits > li').length < 4")
    assert "camera=yard" in fragment(page) and "from=20" in fragment(page) and "to=20" in fragment(page)
    page.get_by_role("button", name="All times and cameras").click()
    number_of_hits(page, 16)
    page.locator("#strip .track button[tabindex='0']").focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('#hits > li').length < 4")


def test_hits_are_saved_with_their_marks(visit: Visits, server: Served, query: Path, tmp_path: Path) -> None:
    page = found(visit, server, query).page
    page.get_by_role("button", name="Right, hit 1", exact=True).click()
    page.get_by_role("button", name="Wrong, hit 2", exact=True).click()
    with saved(page, "Save as CSV", tmp_path).open(newline="") as file:
        rows = list(csv.DictReader(file))
    content = json.loads(saved(page, "Save as JSON", tmp_path).read_text())
    assert len(rows) == len(content["hits"]) == 16
    assert [row["mark"] for row in rows[:3]] == ["right", "wrong", ""]
    assert [hit["mark"] for hit in content["hits"][:3]] == ["right", "wrong", None]
    assert (rows[0]["person"], rows[0]["camera"], rows[0]["x1"]) == ("1", "door", "64")
    assert rows[0]["path"].endswith("0.png") and float(rows[4]["similarity"]) < 1
    assert content["format"] == "maskps-marked-hits" and "not identity" in content["note"]
    assert content["query"]["examples"] == [{"photo": SCRIPT, "box": [64, 0, 128, 160]}]


def test_no_spreadsheet_calculates_a_name(visit: Visits, server: Served) -> None:
    page = visit(server.address).page
    values = ["=1+1", "-a", "@x", 'a"b,c', "plain", "two\nlines"]
    assert page.evaluate("values => values.map(cell)", values) == [
        *("'=1+1", "'-a", "'@x", '"a""b,c"', "plain", '"two\nlines"')
    ]
    assert page.evaluate("[-0.5, null, undefined, true].map(cell)") == ["-0.5", "", "", "true"]


def test_a_photo_that_the_server_no_longer_keeps_is_sent_again(
    visit: Visits, server: Served, query: Path
) -> None:
    page = found(visit, server, query).page
    server.desk.pictures._kept.clear()
    frames(page).nth(2).click()
    until(page, "document.querySelector('#hits > li').dataset.person === '2'")
    assert page.locator("#error").is_hidden()


def test_what_goes_wrong_is_said(visit: Visits, server: Served, tmp_path: Path) -> None:
    made = visit(server.address.split("#")[0])
    error = made.page.locator("#error-text")
    made.page.get_by_text("The page does not know the token").wait_for()
    made = visit(server.address)
    error = made.page.locator("#error-text")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    drop(made.page, broken)
    made.page.get_by_text("not a picture of a known format").wait_for()
    assert made.page.locator("#error").get_attribute("role") == "alert"
    made.page.get_by_role("button", name="Close this message").click()
    assert error.is_hidden()
    drop(made.page, write_scene(tmp_path / "night.png", (0, 0, 0)))
    made.page.get_by_text("Nobody found with a score of 0.5 or more").wait_for()
    large = tmp_path / "large.png"
    large.write_bytes(bytes(20_000_001))
    made.page.set_input_files("#file", large)
    made.page.get_by_text("at most 20 MB").wait_for()


def test_a_server_that_has_ended_is_said_and_can_be_tried_again(
    visit: Visits, server: Served, query: Path
) -> None:
    page = found(visit, server, query).page
    page.route("**/api/search", lambda route: route.abort())
    frames(page).first.click()
    page.get_by_text("The server does not answer").wait_for()
    page.unroute("**/api/search")
    page.get_by_role("button", name="Try again").click()
    page.locator("#error").wait_for(state="hidden")


@pytest.mark.parametrize(("width", "dark"), [(1366, False), (390, True)])
def test_everything_comes_from_this_machine_and_fits_the_window(
    width: int, dark: bool, visit_each: Visits, server: Served, query: Path
) -> None:
    made = found(visit_each, server, query, width=width, dark=dark)
    page = made.page
    page.locator("#hits img.crop").first.wait_for()
    assert made.faults() == [] and made.is_dark == dark
    page.locator("#hits .opens").first.click()
    page.locator("#scene .frame").first.wait_for()
    assert page.evaluate(
        "document.querySelector('#scene').scrollWidth <= document.querySelector('#scene').clientWidth"
    )
    page.keyboard.press("Escape")
    page.locator("#browse").click()
    page.locator("#scenes-list img").first.wait_for()
    assert made.faults() == [] and len(made.requests) > 10


def test_frames_stay_below_the_header_and_crops_take_their_room_before_they_load(
    visit: Visits, server: Served, query: Path
) -> None:
    page = found(visit, server, query, width=390).page
    until(page, "document.querySelector('#hits img.crop')?.clientHeight > 0")
    loaded, waiting = (
        page.locator(f"#hits {kind}").last.bounding_box() for kind in ("img.crop", ".crop.waiting")
    )
    assert waiting["height"] == pytest.approx(loaded["height"]) and waiting["height"] > 100
    covers = """() => {
      const frame = document.querySelector("#stage .frame"), bar = document.querySelector(".bar");
      scrollBy(0, frame.getBoundingClientRect().top - 5);
      const { left, top } = frame.getBoundingClientRect();
      return bar.contains(document.elementFromPoint(left + 5, top + 5));
    }"""
    assert page.evaluate(covers)


def test_text_stands_out_in_both_themes(visit: Visits, server: Served, query: Path) -> None:
    for dark in (False, True):
        made = found(visit, server, query, dark=dark)
        made.page.get_by_role("button", name="Right, hit 1", exact=True).click()
        made.page.get_by_role("button", name="Wrong, hit 2", exact=True).click()
        made.page.mouse.move(0, 0)
        assert made.faint_texts() == []
        made.page.locator("#hits .opens").first.click()
        made.page.locator("#scene .frame").first.wait_for()
        assert made.faint_texts() == []


def test_tab_leads_through_the_page_in_its_order_and_focus_is_seen(
    visit: Visits, server: Served, query: Path
) -> None:
    page = found(visit, server, query).page
    page.evaluate("document.activeElement.blur(); document.querySelector('h1').scrollIntoView()")
    page.mouse.click(3, 300)
    seen = []
    for _ in range(70):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """() => { const one = document.activeElement;
              return [one.id || one.textContent, getComputedStyle(one).outlineWidth]; }"""
        )
        assert outline == "3px", name
        seen.append(name)
    order = [
        "choose",
        "browse",
        "2",
        "adds",
        "Somebody has no frame?",
        "Remove",
        "from",
        "least",
        "one",
        "top",
    ]
    order += ["reset", "door", "yard", "save-csv", "save-json", "Search", "Add", "Right", "Wrong"]
    assert [name for name in order if name in seen] == order
    places = [seen.index(name) for name in order]
    assert places == sorted(places)


def test_everything_that_can_be_used_has_a_name(visit: Visits, server: Served, query: Path) -> None:
    page = found(visit, server, query).page
    page.locator("#hits .opens").first.click()
    page.locator("#scene .frame").first.wait_for()
    script = """() => [...document.querySelectorAll("button, input, select, meter, progress, .framed")]
      .filter((one) => !one.hidden && !one.ariaLabel && !one.textContent.trim() && !one.labels?.length)
      .map((one) => one.outerHTML)"""
    assert page.evaluate(script) == []
    assert page.evaluate("document.querySelectorAll('[role=status], [role=alert]').length") >= 4
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))


def test_a_click_is_answered_before_the_slow_search_of_an_earlier_one(
    visit: Visits, server: Served, query: Path
) -> None:
    page = visit(server.address).page
    drop(page, query)
    frames(page).first.wait_for()

    def slowly(route: Any) -> None:
        time.sleep(0.3 if '"box":[0,' in route.request.post_data else 0)
        route.continue_()

    page.route("**/api/search", slowly)
    frames(page).first.click()
    frames(page).nth(1).click()
    page.locator("#hits > li").first.wait_for()
    page.wait_for_timeout(500)
    assert page.locator("#hits > li").first.get_attribute("data-person") == "1"
    assert page.locator("#error").is_hidden()


def test_an_empty_gallery_is_named_and_a_removed_one_too(visit: Visits, query: Path, tmp_path: Path) -> None:
    place = tmp_path / "people.gallery"
    with Gallery.open(place, WidePredictor()) as gallery:
        gallery.add([write_scene(tmp_path / "one.png", RED)])
        gallery.forget(Where())
        with served(gallery) as running:
            page = visit(running.address).page
            drop(page, query)
            frames(page).first.click()
            page.get_by_text("The gallery is empty. Add photos").wait_for()
            place.unlink()
            frames(page).nth(1).click()
            page.get_by_text("the file is gone").first.wait_for()
