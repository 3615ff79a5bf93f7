"""What may happen to a case, whoever tells of it and in whatever order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from adapter.gateways.postamat.api import LockerCall, Operation, call_faults, is_casenum, is_number
from adapter.lockers.refusals import LockerRefusedError, Refusal
from adapter.lockers.rules import (
    STEPS,
    Case,
    CaseState,
    Locker,
    check_choice,
    check_time,
    moved,
    movement,
    normal_phone,
    offered,
    receipt_line,
    stay,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def locker(number: str = "1233", **changes: object) -> Locker:
    values = {"address": "Калуга, ул. Кирова, 1", "departments": ("ТОСП-1",), "storage_days": 3} | changes
    return Locker(number=number, **values)


def case(**changes: object) -> Case:
    values = {"casenum": "1.22-51", "service": "passport", "department": "ТОСП-1", "phone": "+7 (918) 555 55 54"}
    return Case(**(values | changes))


def call(operation: Operation, number: str = "1233", cell: str = "10") -> LockerCall:
    return LockerCall(operation, "1.22-51", number, "1648023241", "1139", cell)


def lies_in(number: str = "1233", **changes: object) -> Case:
    return case(state=CaseState.IN_LOCKER, place=number, cell="10", put_at=NOW, **changes)


def refusal_of(error: pytest.ExceptionInfo[LockerRefusedError]) -> Refusal:
    return error.value.refusal


def test_a_case_goes_into_a_locker_and_out_to_the_applicant() -> None:
    inside = moved(case(), locker(), call(Operation.PUT_CASE), NOW)
    assert (inside.state, inside.place, inside.cell, inside.put_at) == ("В постамате", "1233", "10", NOW)
    out = moved(inside, locker(), call(Operation.ISSUE), NOW)
    assert (out.state, out.place, out.cell, out.put_at) == ("Выдано заявителю", None, None, None)


def test_a_case_taken_back_is_to_be_handed_out_again_and_may_be_put_again() -> None:
    back = moved(lies_in(chosen="1233"), locker(), call(Operation.BACK), NOW)
    assert (back.state, back.place, back.chosen) == ("на выдаче", None, "1233")
    assert moved(back, locker(), call(Operation.PUT_CASE), NOW).state == CaseState.IN_LOCKER


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("state", CaseState)
def test_every_step_that_is_not_in_the_table_is_refused_by_name(state: CaseState, operation: Operation) -> None:
    given_case = lies_in() if state is CaseState.IN_LOCKER else case(state=state)
    if (state, operation) in STEPS:
        assert moved(given_case, locker(), call(operation), NOW).state is STEPS[state, operation]
        return
    with pytest.raises(LockerRefusedError) as error:
        moved(given_case, locker(), call(operation), NOW)
    assert refusal_of(error) is Refusal.WRONG_STEP
    assert state in error.value.description
    assert operation in error.value.description


def test_an_unknown_case_is_no_case_in_the_vendors_words() -> None:
    with pytest.raises(LockerRefusedError) as error:
        moved(None, locker(), call(Operation.ISSUE), NOW)
    assert error.value.to_vendor()["name"] == "No case"


def test_an_unknown_locker_is_refused_before_anything_is_told_of_the_case() -> None:
    with pytest.raises(LockerRefusedError) as error:
        moved(None, None, call(Operation.ISSUE), NOW)
    assert refusal_of(error) is Refusal.NO_LOCKER


@pytest.mark.parametrize("operation", [Operation.ISSUE, Operation.BACK])
def test_only_the_locker_that_holds_a_case_can_give_it(operation: Operation) -> None:
    with pytest.raises(LockerRefusedError) as error:
        moved(lies_in("1233"), locker("77"), call(operation, "77"), NOW)
    assert refusal_of(error) is Refusal.WRONG_LOCKER


def test_a_case_goes_only_into_the_locker_that_was_chosen() -> None:
    with pytest.raises(LockerRefusedError) as error:
        moved(case(chosen="1233"), locker("77"), call(Operation.PUT_CASE, "77"), NOW)
    assert refusal_of(error) is Refusal.WRONG_LOCKER


def test_a_case_without_a_choice_may_go_into_any_locker() -> None:
    assert moved(case(), locker("77"), call(Operation.PUT_CASE, "77"), NOW).place == "77"


def test_what_lies_in_an_inactive_locker_comes_out_of_it() -> None:
    assert moved(lies_in(), locker(active=False), call(Operation.ISSUE), NOW).state is CaseState.ISSUED


class Cases(RuleBasedStateMachine):
    """A case, two lockers, and calls in any order: the movements alone always tell where the case is."""

    def __init__(self) -> None:
        super().__init__()
        self.case = case()
        self.movements = []
        self.now = NOW

    @rule(operation=st.sampled_from(Operation), number=st.sampled_from(["1233", "77"]), cell=st.sampled_from("12"))
    def tell(self, operation: Operation, number: str, cell: str) -> None:
        self.now += timedelta(hours=1)
        told, before = call(operation, number, cell), self.case
        try:
            self.case = moved(before, locker(number), told, self.now)
        except LockerRefusedError:
            assert (before.state, operation) not in STEPS or before.place not in (None, number)
            return
        self.movements.append(movement(self.case, told, self.now))

    @invariant()
    def the_last_movement_tells_where_the_case_is(self) -> None:
        last = self.movements[-1] if self.movements else None
        inside = last is not None and last.operation is Operation.PUT_CASE
        expected = (last.postamatid, last.cellid, last.at) if inside else (None, None, None)
        assert (self.case.place, self.case.cell, self.case.put_at) == expected
        assert self.case.state is (last.state if last else CaseState.READY)

    @invariant()
    def it_alternates_between_going_in_and_coming_out_and_ends_with_the_applicant(self) -> None:
        steps = [step.operation for step in self.movements]
        assert all((step is Operation.PUT_CASE) == (n % 2 == 0) for n, step in enumerate(steps))
        assert Operation.ISSUE not in steps[:-1]


TestCases = Cases.TestCase
TestCases.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)


def test_none_one_or_several_lockers_are_offered() -> None:
    several = [locker("9"), locker("10"), locker("77", departments=("ТОСП-2",)), locker("5", active=False)]
    assert [one.number for one in offered(several, "ТОСП-1", permitted=True)] == ["9", "10"]
    assert [one.number for one in offered(several, "ТОСП-2", permitted=True)] == ["77"]
    assert offered(several, "ТОСП-3", permitted=True) == ()
    assert offered(several, "ТОСП-1", permitted=False) == ()


@given(st.lists(st.booleans()), st.booleans())
def test_what_is_offered_may_be_chosen_and_nothing_else(actives: list[bool], permitted: bool) -> None:  # noqa: FBT001
    lockers = [locker(str(n), active=active) for n, active in enumerate(actives)]
    numbers = {one.number for one in offered(lockers, "ТОСП-1", permitted=permitted)}
    for one in lockers:
        if one.number in numbers:
            check_choice(one, "ТОСП-1", permitted=permitted)
        else:
            with pytest.raises(LockerRefusedError):
                check_choice(one, "ТОСП-1", permitted=permitted)


def test_each_reason_not_to_choose_a_locker_has_its_name() -> None:
    wrong = [
        (None, "ТОСП-1", True, Refusal.NO_LOCKER),
        (locker(), "ТОСП-1", False, Refusal.NOT_PERMITTED),
        (locker(active=False), "ТОСП-1", True, Refusal.INACTIVE),
        (locker(), "ТОСП-2", True, Refusal.NOT_SERVED),
    ]
    for one, department, permitted, expected in wrong:
        with pytest.raises(LockerRefusedError) as error:
            check_choice(one, department, permitted=permitted)
        assert refusal_of(error) is expected


def test_a_case_is_overdue_when_its_days_are_over_and_not_a_moment_before() -> None:
    inside = lies_in()
    last = NOW + timedelta(days=3)
    assert stay(inside, locker(), last).overdue is False
    assert stay(inside, locker(), last + timedelta(microseconds=1)).overdue is True
    assert stay(inside, locker(), last).until == last


def test_a_case_that_lies_nowhere_has_no_stay() -> None:
    with pytest.raises(ValueError, match="no locker"):
        stay(case(), locker(), NOW)


def test_the_receipt_tells_number_address_and_days() -> None:
    line = receipt_line(locker())
    assert "№ 1233" in line
    assert "Калуга, ул. Кирова, 1" in line
    assert line.endswith("дней: 3.")


@pytest.mark.parametrize(
    "text", ["+7 (918) 555 55 54", "89185555554", "+79185555554", "79185555554", "9185555554", "8 918 555-55-54"]
)
def test_a_phone_is_written_in_one_way(text: str) -> None:
    assert normal_phone(text) == "+7 (918) 555 55 54"


def test_a_phone_of_another_country_keeps_its_code() -> None:
    assert normal_phone("+375 29 123-45-67") == "+375291234567"


@pytest.mark.parametrize(
    "text", ["", "5555554", "телефон", "+7 918 555 55", "29912345678901", "+7|9185555554", "١٢٣٤٥٦٧٨٩٠"]
)
def test_what_is_no_phone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ожидается номер телефона"):
        normal_phone(text)


@given(st.from_regex(r"\+?[0-9 ().-]{0,20}", fullmatch=True))
def test_a_written_phone_stays_as_it_is(text: str) -> None:
    try:
        written = normal_phone(text)
    except ValueError:
        return
    assert normal_phone(written) == written
    assert "|" not in written


def test_a_timestamp_is_taken_inside_the_window_and_refused_outside() -> None:
    moment = datetime.fromtimestamp(1648023241, UTC)
    window = timedelta(minutes=5)
    for seconds in (-300, 0, 300):
        check_time(call(Operation.ISSUE), moment + timedelta(seconds=seconds), window)
    for seconds in (-301, 301):
        with pytest.raises(LockerRefusedError) as error:
            check_time(call(Operation.ISSUE), moment + timedelta(seconds=seconds), window)
        assert refusal_of(error) is Refusal.WRONG_TIME
    check_time(replace(call(Operation.ISSUE), timestamp="9" * 18), moment, None)
    with pytest.raises(LockerRefusedError):
        check_time(replace(call(Operation.ISSUE), timestamp="9" * 18), moment, window)


@pytest.mark.parametrize("value", ["1.22-51", "К-1/2026", "a" * 64, "а б"])
def test_a_case_number_is_any_printable_text(value: str) -> None:
    assert is_casenum(value)


@pytest.mark.parametrize("value", ["", "a" * 65, "1|2", "1\n2", "\x00", "\ud800", None, 5])
def test_what_a_code_or_a_query_cannot_carry_is_no_case_number(value: object) -> None:
    assert not is_casenum(value)


@pytest.mark.parametrize("value", ["", "-1", "1.0", "1" * 19, "١٢", "1 ", None, 5, "1\n"])
def test_what_would_fail_in_the_portals_database_is_no_number(value: object) -> None:
    assert not is_number(value)


def test_every_wrong_parameter_of_a_call_is_named() -> None:
    wrong = {"casenum": "1|2", "postamatid": "x", "timestamp": "", "userid": "1 ", "cellid": None}
    assert [fault.path for fault in call_faults(wrong)] == ["casenum", "postamatid", "timestamp", "userid", "cellid"]
    assert [fault.path for fault in call_faults({})] == ["casenum", "postamatid", "timestamp", "userid", "cellid"]
    assert list(call_faults(call(Operation.ISSUE).parameters())) == []


def test_a_call_is_written_as_its_description_has_it() -> None:
    written = call(Operation.PUT_CASE).target()
    assert written == (
        "/rest-api/postamat/put-case?casenum=1.22-51&postamatid=1233&timestamp=1648023241&userid=1139&cellid=10"
    )


def test_refusals_have_codes_and_names_of_their_own() -> None:
    assert len({refusal.wire for refusal in Refusal}) == len(Refusal) == len({one.vendor_name for one in Refusal})
    assert all(refusal.wire.startswith("ADAPTER-POSTAMAT-") for refusal in Refusal)
