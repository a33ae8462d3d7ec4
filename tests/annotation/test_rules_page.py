"""The page of rules stands alone and shows every rule right and wrong."""

from __future__ import annotations

import re

from maskps_annotation.pack_files import IMAGE_FLAGS, SHAPE_FLAGS, labelme_config
from maskps_annotation.rules_page import rules_page
from maskps_annotation.rules_pictures import examples


def test_the_page_asks_no_host_for_anything() -> None:
    page = rules_page()
    assert not re.search(r"https?://|src=\"(?!data:)|<script|<link|@import|url\(", page)


def test_every_rule_has_a_right_and_a_wrong_picture_that_differ() -> None:
    for right, wrong in examples().values():
        assert right.is_right and not wrong.is_right
        assert right.data_url() != wrong.data_url()
        assert right.data_url() in rules_page() and wrong.data_url() in rules_page()


def test_the_page_names_every_flag_that_labelme_offers() -> None:
    for flag in (*IMAGE_FLAGS, *SHAPE_FLAGS):
        assert f"&#x27;{flag}&#x27;" in rules_page()


def test_the_configuration_has_only_keys_that_labelme_6_and_7_share() -> None:
    keys = {line.split(":")[0] for line in labelme_config(3).splitlines()}
    shared = "auto_save with_image_data keep_prev labels flags label_flags validate_label sort_labels"
    assert keys == set(shared.split())


def test_the_configuration_offers_the_slots_and_copies_no_shapes() -> None:
    text = labelme_config(2)
    assert 'labels: ["p1", "p2"]\n' in text
    assert "keep_prev: false\n" in text
