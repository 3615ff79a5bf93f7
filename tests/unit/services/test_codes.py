import pytest

from adapter.services.codes import NSI95_IDENTITY_DOCUMENTS, snils_checksum_holds


@pytest.mark.parametrize("snils", ["11111111145", "11223344595", "08765430200", "00000000000", "00100199899"])
def test_a_right_checksum_holds_and_numbers_from_before_it_always_do(snils: str) -> None:
    assert snils_checksum_holds(snils)


@pytest.mark.parametrize("snils", ["11111111146", "00100300400", "01123303322", "00100199999"])
def test_a_wrong_checksum_is_seen(snils: str) -> None:
    assert not snils_checksum_holds(snils)


@pytest.mark.parametrize("total", [99, 100, 101, 102, 200, 201, 202, 203])
def test_sums_around_101_follow_the_rule_as_it_is_written(total: int) -> None:
    digits, rest = "", total
    for weight in range(9, 0, -1):
        digits += str(min(9, rest // weight))
        rest -= int(digits[-1]) * weight
    assert rest == 0
    written = total if total < 100 else total % 101 if total > 101 else 0
    assert snils_checksum_holds(f"{digits}{0 if written == 100 else written:02}")
    assert not snils_checksum_holds(f"{digits}{(written + 1) % 100:02}")


def test_the_dictionary_of_documents_has_its_22_codes() -> None:
    assert sorted(NSI95_IDENTITY_DOCUMENTS) == list(range(1, 23))
