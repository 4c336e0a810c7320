"""Form bodies: brackets make a tree, whatever is in them."""

from __future__ import annotations

import contextlib
from urllib.parse import urlencode

import pytest
from hypothesis import given, strategies as st

from coinslot.sandbox.stripe.errors import ApiError
from coinslot.sandbox.stripe.form import Form, decode
from stripe_api import flatten

NAMES = st.text(st.characters(exclude_characters="[]", codec="utf-8"), min_size=1, max_size=8)
TREES = st.recursive(
    st.text(st.characters(codec="utf-8"), max_size=8),
    lambda below: st.dictionaries(NAMES, below, min_size=1, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a[b][c]=1&a[b][d]=2", {"a": {"b": {"c": "1", "d": "2"}}}),
        ("a[0]=x&a[1]=y", {"a": {"0": "x", "1": "y"}}),
        ("a[]=x&a[]=y", {"a": {"0": "x", "1": "y"}}),
        ("a[][b]=x&a[][b]=y", {"a": {"0": {"b": "x"}, "1": {"b": "y"}}}),
        ("a%5Bb%5D=%C3%A9+1", {"a": {"b": "é 1"}}),
        ("a=1&a=2", {"a": "2"}),
        ("metadata=", {"metadata": ""}),
    ],
)
def test_brackets_make_a_tree(text: str, tree: Form) -> None:
    """Objects, arrays with and without numbers, escapes, empty values: as Stripe's clients write them."""
    assert decode(text) == tree


@pytest.mark.parametrize("text", ["[a]=1", "a[=1", "a]b=1", "a=1&a[b]=2", "a[b]=2&a=1", "a=%ff", "=1"])
def test_what_is_no_form_is_refused(text: str) -> None:
    """Unbalanced brackets, a name that is both value and object, bytes that are no text: 400."""
    with pytest.raises(ApiError) as refused:
        decode(text)
    assert refused.value.status == 400


def test_depth_and_size_are_limited() -> None:
    """Nothing is built from a body that nests or repeats without end."""
    for text in ("a" + "[b]" * 50 + "=1", "&".join(f"a{i}=1" for i in range(5000))):
        with pytest.raises(ApiError):
            decode(text)


@given(st.dictionaries(NAMES, TREES, max_size=4))
def test_a_tree_survives_the_wire(tree: Form) -> None:
    """What a client encodes is what is read."""
    assert decode(urlencode(list(flatten(tree)))) == tree


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text is anything but a tree or an `ApiError`."""
    with contextlib.suppress(ApiError):
        assert isinstance(decode(text), dict)
