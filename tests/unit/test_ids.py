"""Ids of our own: in the order of their making, and those that follow from another."""

from __future__ import annotations

from uuid import RFC_4122, UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from adapter.ids import derived_id, new_id


def test_new_ids_are_of_version_seven_and_each_is_greater_than_the_one_before() -> None:
    made = [new_id() for _ in range(10_000)]
    assert sorted(set(made)) == made
    assert {(one.version, one.variant) for one in made} == {(7, RFC_4122)}
    assert all(isinstance(one, UUID) and UUID(str(one)) == one for one in made)


@given(st.uuids(), st.text(max_size=50))
def test_a_derived_id_is_what_the_standard_library_makes_of_the_same_name(space: UUID, name: str) -> None:
    assert derived_id(space, name) == uuid5(space, name)
    assert str(derived_id(space, name)) == str(uuid5(space, name))
