"""A page out of its parts."""

from shoestring.exporting.html_page import html_page, part


def test_a_name_that_looks_like_a_place_of_the_page_is_a_name() -> None:
    page = html_page(
        "classifier.html", ["classify.js"], "@@SCRIPT@@", {"classes": ["@@NET@@", "@@SCRIPT@@"]}, b"net"
    ).decode()
    assert page.count(part("classify.js")) == 1
    assert '"classes":["@@NET@@","@@SCRIPT@@"]' in page
    assert "<title>@@SCRIPT@@" in page
