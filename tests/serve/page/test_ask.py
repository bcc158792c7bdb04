"""Asking: the answer in its order, its places in the text, other answers, candidates, none, what to take along."""

import json
import re

from playwright.sync_api import expect

from tests.serve.page.steps import ANSWER, OUTSIDE, QUESTION, TEXT, answered, ask, shown


def marks(page) -> list[str]:
    return page.locator("#paper mark").all_text_contents()


def test_an_answer_with_its_place(visit, service) -> None:
    page = visit()
    ask(page)
    (asked,) = service.requests
    assert asked == {"question": QUESTION, "top": 5, "texts": [{"name": "Pasted text", "text": TEXT}]}
    found = service.answers(asked, "en")[1]
    result = page.locator("#result")
    text = result.inner_text()
    order = [
        "Answered",
        ANSWER,
        "Found in the text",
        "This answer is right",
        "Where",
        "All answers",
        "What was read",
    ]
    places = [text.find(each) for each in order if each != "Where"]
    assert -1 not in places
    assert places == sorted(places)
    share = round(100 * found["answers"][0]["probability"])
    assert re.search(rf"This answer is right\s+(very )?likely, {share}%", text)
    assert re.search(rf"Found in the text\s+\w.*, {round(100 - 100 * found['no_answer_probability'])}%", text)
    assert f"Read 1 of 1 text, 100% of {len(TEXT)} characters in 1 window" in text
    assert "No better one was missed." in text
    expect(result.locator("blockquote").first).to_have_text(
        "It was led by Astrid Halvorsen, a geologist from Tromsø."
    )
    assert page.locator("blockquote mark").first.text_content() == ANSWER
    assert "Pasted text, line 2" in text
    assert marks(page) == [ANSWER]
    assert shown(page) == TEXT.rstrip("\n")
    assert page.locator("#paper mark").evaluate("each => each.closest('.line').dataset.line") == "2"


def test_all_answers_with_their_bars(visit, service) -> None:
    page = visit()
    ask(page)
    found = service.answers(service.requests[0], "en")[1]
    rows = page.locator(".ranked li")
    assert rows.locator(".name").all_text_contents() == [
        *(each["text"] for each in found["answers"]),
        "Not in the text",
    ]
    shares = [*(each["probability"] for each in found["answers"]), found["no_answer_probability"]]
    for row, share in zip(rows.all(), shares, strict=True):
        whole, part = (row.locator(each).first.bounding_box()["width"] for each in (".gauge", ".gauge span"))
        assert abs(part / whole - share) < 0.01
    second = found["answers"][1]
    rows.nth(1).locator("button").click()
    assert marks(page) == [TEXT[place["start"] : place["end"]] for place in second["evidence"]]
    expect(rows.nth(1).locator("blockquote mark")).to_have_text(second["text"])
    expect(rows.nth(1).locator(".choice")).to_be_focused()


def test_not_in_the_text_is_a_result(visit) -> None:
    page = visit()
    ask(page, OUTSIDE)
    text = page.locator("#result").inner_text()
    assert re.search(r"Not in the text\s+The text most likely does not answer this question\.", text)
    assert "Passages nearest to the question" in text
    rows = page.locator(".ranked li")
    assert rows.locator(".tag").count() == rows.count() - 1  # all but "not in the text" itself
    assert page.locator("#paper mark, #result blockquote, #result .answer").count() == 0
    assert page.locator("#status").inner_text().startswith("Not in the text.")


def test_candidates_of_ones_own(visit, service) -> None:
    page = visit()
    ask(page, candidates="Astrid Halvorsen\n\n the captain \nAstrid Halvorsen\n")
    assert service.requests[0]["candidates"] == [ANSWER, "the captain"]
    assert set(page.locator(".ranked .choice .name").all_text_contents()) == {ANSWER, "the captain"}
    text = page.locator("#result").inner_text()
    assert "Only the candidates you gave were compared." in text
    page.locator(".choice", has_text="the captain").click()
    expect(page.locator(".chosen")).to_contain_text("Does not stand word for word in the text.")
    assert marks(page) == []


def test_several_texts_and_places(visit, service) -> None:
    page = visit()
    second = "Notes.\nThe society thanked Astrid Halvorsen.\nAstrid\nHalvorsen led it, said Astrid Halvorsen.\n"
    page.locator("#picker").set_input_files(
        [
            {"name": "one.txt", "mimeType": "text/plain", "buffer": TEXT.encode()},
            {"name": "two.txt", "mimeType": "text/plain", "buffer": second.encode()},
        ]
    )
    expect(page.locator("#files li")).to_have_count(2)
    ask(page, text=None)
    found = service.answers(service.requests[0], "en")[1]
    places = found["answers"][0]["evidence"]
    assert {place["source"] for place in places} == {"one.txt", "two.txt"}
    assert f"Read 2 of 2 texts, 100% of {len(TEXT + second)} characters" in page.locator("#result").inner_text()
    texts = {"one.txt": TEXT, "two.txt": second}
    count = len(places)
    page.locator("#paper").focus()
    for number in [*range(1, count), 0]:  # round, back to the first
        page.keyboard.press("n")
        place = places[number]
        expect(page.locator("#position")).to_have_text(f"{number + 1} of {count}")
        expect(page.locator("#tabs [aria-pressed=true]")).to_have_text(place["source"])
        lines = page.locator("#paper mark.current")
        expect(lines.first).to_be_focused()
        wanted = texts[place["source"]][place["start"] : place["end"]]
        assert "\n".join(lines.all_text_contents()) == wanted
        assert lines.first.evaluate("each => Number(each.closest('.line').dataset.line)") == place["line"]
    page.keyboard.press("p")
    expect(page.locator("#position")).to_have_text(f"{count} of {count}")
    page.locator("#next").click()
    expect(page.locator("#position")).to_have_text(f"1 of {count}")


def test_offsets_behind_wide_characters(visit, service) -> None:
    text = "🏔️𠀋 The notes 🦙🦙 say:\r\nIt was led by Astrid Halvorsen 🏔️, a geologist.\r\n"
    page = visit()
    page.locator("#picker").set_input_files(
        [{"name": "wide.txt", "mimeType": "text/plain", "buffer": text.encode()}]
    )
    expect(page.locator("#files li")).to_have_count(1)
    ask(page, text=None)
    assert service.requests[0]["texts"] == [{"name": "wide.txt", "text": text}]
    assert ANSWER in marks(page)[0]
    assert page.locator("blockquote mark").first.text_content() == marks(page)[0]


def test_an_answer_survives_a_reload(visit) -> None:
    page = visit()
    ask(page)
    page.locator(".choice").nth(1).click()
    address, before = page.url, page.locator(".chosen").inner_text()
    assert re.search(r"#a=\w+&s=\d+-\d+$", address)
    page.reload()
    answered(page)
    assert page.locator(".chosen").inner_text() == before
    assert page.locator("#paper mark.current").count() == 1
    assert page.locator("#question").input_value() == QUESTION
    other = visit(address.partition("/?")[2].join(("?", "")), context=page.context)
    answered(other)
    assert other.locator(".chosen").inner_text() == before


def test_a_link_to_what_is_not_kept_here(visit) -> None:
    page = visit("?lang=en#a=0123456789ab&s=1-2")
    expect(page.locator("#problem")).to_contain_text("is not kept in this browser")
    assert page.locator("#result").is_hidden()


def test_history_stays_in_the_browser_and_can_be_deleted(visit, service) -> None:
    page = visit()
    ask(page)
    ask(page, OUTSIDE)
    page.locator("#history summary").click()
    earlier = page.locator("#earlier button")
    assert earlier.all_text_contents() == [OUTSIDE, QUESTION]
    asked = len(service.requests)
    earlier.nth(1).click()
    answered(page)
    assert marks(page) == [ANSWER]
    assert page.locator("#text").input_value() == TEXT
    assert len(service.requests) == asked
    page.locator("#clear").click()
    assert earlier.count() == 0
    assert "Astrid" not in json.dumps(page.evaluate("() => ({...localStorage})"))
    page.locator("#keep").uncheck()
    ask(page, QUESTION)
    assert earlier.count() == 0
    assert "Astrid" not in json.dumps(page.evaluate("() => ({...localStorage, ...sessionStorage})"))
    assert page.locator("text=Copy a link").count() == 0


def test_what_can_be_taken_along(visit, service) -> None:
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    ask(page)
    found = service.answers(service.requests[0], "en")[1]
    place = found["answers"][0]["evidence"][0]
    page.locator("text=Copy as a citation").click()
    expect(page.locator("#done")).to_contain_text("copied")
    cited = page.evaluate("() => navigator.clipboard.readText()")
    assert cited.startswith(f"“{ANSWER}”. In: “It was led by Astrid Halvorsen, a geologist from Tromsø.”")
    assert f"line 2, characters {place['start']} to {place['end']}" in cited
    assert found["model"] in cited
    page.locator("text=Copy a link").click()
    expect(page.locator("#done")).to_contain_text("The link is copied")
    assert page.evaluate("() => navigator.clipboard.readText()") == page.url
    with page.expect_download() as saved:
        page.locator("text=Save as JSON").click()
    kept = json.loads(saved.value.path().read_text("utf-8"))
    assert kept["answers"] == json.loads(json.dumps(found["answers"]))
    page.emulate_media(media="print")
    assert page.locator("#result").is_visible()
    assert page.locator(".verdict, blockquote").first.is_visible()
    assert not page.locator("#ask, .right, header p, .actions").first.is_visible()


def test_how_sure_and_how_it_was_measured(visit, started) -> None:
    page = visit()
    ask(page)
    page.locator("#result .more a").click()
    fitted = started.reader.own_calibration()
    section = page.locator("#numbers")
    expect(section).to_contain_text(f"on {fitted.rows} questions")
    best = float(re.search(r"right\s+\D*(\d+)%", page.locator("#result").inner_text())[1]) / 100
    near = [error for probability, _, error in fitted.curve if probability >= best - 0.006]
    shares = {round(100 - 100 * error) for error in near[-6:]}
    told = re.search(r"it was right (\d+)% of the time", section.inner_text())
    assert int(told[1]) in shares
    assert section.locator("circle").count() >= 9
    counts = re.findall(r"(\d+) questions", " ".join(section.locator("li").all_text_contents()))
    assert sum(map(int, counts)) == fitted.rows
