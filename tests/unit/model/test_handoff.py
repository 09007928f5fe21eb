"""Single steps of handing over; histories of them are in ``test_handoff_model``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from teleclaude.model.handoff import (
    MAX_VERDICTS,
    Answer,
    Cancel,
    Claim,
    Effect,
    Noted,
    NotPossibleError,
    Offer,
    Prepare,
    Prepared,
    Ready,
    Refused,
    Release,
    Row,
    Sent,
    Supersede,
    Verdict,
    due,
    force,
    receive,
    release,
    silent_peer,
)

OWNER = Row("anvil", Claim(4, "anvil"))
PREPARED = Row("barn", Claim(4, "anvil"), prepared=Prepared("H1", "anvil", 4))
RELEASED = release(OWNER, "H1", "barn").row
OFFER = Offer("H1", 5)


def test_who_released_owns_no_more_and_offers_until_answered() -> None:
    step = release(OWNER, "H1", "barn")
    assert not step.row.owns
    assert step.row.released == Release("H1", "barn", 5)
    assert step.messages == due(step.row) == (Sent("barn", OFFER),)


@pytest.mark.parametrize("row", [Row("anvil"), RELEASED, PREPARED])
def test_only_an_owner_releases(row: Row) -> None:
    with pytest.raises(NotPossibleError, match="not owned"):
        release(row, "H2", "crane")
    with pytest.raises(NotPossibleError, match="here already"):
        release(OWNER, "H2", "anvil")


def test_what_is_prepared_is_accepted_once_and_the_answer_repeated() -> None:
    step = receive(PREPARED, "anvil", OFFER)
    assert step.row.owns
    assert (step.row.claim, step.row.prepared, step.effects) == (Claim(5, "barn"), None, (Effect.START,))
    again = receive(step.row, "anvil", OFFER)
    assert (again.row, again.messages, again.effects) == (step.row, step.messages, ())
    assert step.messages == (Sent("anvil", Answer("H1", 5, True)),)


@pytest.mark.parametrize(
    "row",
    [
        Row("barn"),
        replace(PREPARED, prepared=Prepared("H2", "anvil", 4)),
        replace(PREPARED, prepared=Prepared("H1", "crane", 4)),
        replace(PREPARED, prepared=Prepared("H1", "anvil", 3)),
    ],
)
def test_anything_else_is_declined_for_good(row: Row) -> None:
    step = receive(row, "anvil", OFFER)
    assert (step.messages, step.effects) == ((Sent("anvil", Answer("H1", 5, False)),), ())
    prepared = receive(step.row, "anvil", Prepare("H1", 4))
    assert prepared.messages == (Sent("anvil", Refused("H1")),)
    assert receive(replace(step.row, prepared=PREPARED.prepared), "anvil", OFFER).messages == step.messages


def test_the_source_follows_the_answer_to_its_own_offer_only() -> None:
    gone = receive(RELEASED, "barn", Answer("H1", 5, True))
    assert (gone.row.claim, gone.row.released, gone.effects) == (Claim(5, "barn"), None, (Effect.CLOSE,))
    back = receive(RELEASED, "barn", Answer("H1", 5, False))
    assert (back.row.claim, back.row.owns, back.effects) == (Claim(5, "anvil"), True, (Effect.RESUME,))
    for sender, answer in (("crane", Answer("H1", 5, True)), ("barn", Answer("H0", 3, True))):
        step = receive(RELEASED, sender, answer)
        assert (step.row.released, step.row.claim, step.effects) == (RELEASED.released, RELEASED.claim, ())
    assert receive(back.row, "barn", Answer("H0", 3, True)).messages == (Sent("barn", Supersede(Claim(5, "anvil"))),)


def test_preparing_is_refused_by_an_owner_and_by_who_knows_better() -> None:
    assert receive(Row("barn"), "anvil", Prepare("H1", 4)).messages == (Sent("anvil", Ready("H1")),)
    owner = Row("barn", Claim(4, "barn"))
    assert receive(owner, "anvil", Prepare("H1", 9)).messages == (Sent("anvil", Refused("H1")),)
    assert receive(owner, "anvil", Prepare("H1", 3)).messages[0] == Sent("anvil", Supersede(Claim(4, "barn")))
    assert receive(PREPARED, "anvil", Cancel("H1")).row.prepared is None
    assert receive(PREPARED, "anvil", Cancel("H2")).row == PREPARED


def test_a_stale_offer_is_answered_with_who_owns_it() -> None:
    later = Row("barn", Claim(8, "crane"))
    assert receive(later, "anvil", OFFER).messages == (Sent("anvil", Supersede(Claim(8, "crane"))),)


def test_force_makes_the_epoch_after_the_next_and_is_told_until_noted() -> None:
    kept = force(RELEASED)
    assert (kept.row.claim, kept.row.owns, kept.effects) == (Claim(6, "anvil"), True, (Effect.RESUME,))
    assert kept.messages == due(kept.row) == (Sent("barn", Supersede(Claim(6, "anvil"))),)
    taken = force(PREPARED)
    assert (taken.row.claim, taken.effects) == (Claim(6, "barn"), (Effect.START,))
    assert receive(taken.row, "anvil", OFFER).messages == (Sent("anvil", Answer("H1", 6, True)),)
    back = force(Row("anvil", Claim(5, "barn")))
    assert (back.row.claim, back.row.tell) == (Claim(7, "anvil"), frozenset({"barn"}))
    assert receive(kept.row, "barn", Noted(Claim(5, "barn"))).row == kept.row
    assert due(receive(kept.row, "barn", Noted(Claim(6, "anvil"))).row) == ()


@pytest.mark.parametrize(
    ("row", "silent"),
    [(RELEASED, "barn"), (PREPARED, "anvil"), (Row("anvil", Claim(5, "barn")), "barn")],
)
def test_who_has_to_be_silent(row: Row, silent: str) -> None:
    assert silent_peer(row) == silent


@pytest.mark.parametrize("row", [OWNER, Row("barn")])
def test_there_may_be_nothing_to_take(row: Row) -> None:
    with pytest.raises(NotPossibleError):
        force(row)


def test_whoever_is_superseded_yields_and_passes_it_on() -> None:
    higher = Supersede(Claim(9, "crane"))
    step = receive(OWNER, "crane", higher)
    assert (step.row.claim, step.row.owns, step.effects) == (Claim(9, "crane"), False, (Effect.CLOSE,))
    assert step.messages == (Sent("crane", Noted(Claim(9, "crane"))),)
    told = receive(RELEASED, "crane", higher)
    assert (told.row.released, told.row.tell) == (None, frozenset({"barn"}))
    assert told.effects == (Effect.CLOSE,)
    assert receive(step.row, "crane", higher).effects == ()
    assert receive(OWNER, "crane", Supersede(Claim(2, "crane"))).messages == (
        Sent("crane", Supersede(Claim(4, "anvil"))),
    )


def test_of_two_that_were_forced_at_once_the_names_decide() -> None:
    anvil, crane = Row("anvil", Claim(6, "anvil")), Row("crane", Claim(6, "crane"))
    assert receive(anvil, "crane", Supersede(Claim(6, "crane"))).effects == (Effect.CLOSE,)
    assert receive(crane, "anvil", Supersede(Claim(6, "anvil"))).effects == ()


def test_verdicts_are_bounded() -> None:
    row = Row("barn", verdicts=tuple(Verdict(f"H{n}", False, n) for n in range(MAX_VERDICTS)))
    assert len(receive(row, "anvil", Offer("X", 99)).row.verdicts) == MAX_VERDICTS


def test_an_owner_who_forgot_his_epoch_is_reminded() -> None:
    step = receive(OWNER, "barn", Supersede(Claim(9, "anvil")))
    assert (step.row.claim, step.row.owns, step.effects) == (Claim(9, "anvil"), True, ())


def test_who_takes_over_tells_the_owner_he_believed_in() -> None:
    """It came from one who had it by force, unknown to the owner before him."""
    row = Row("barn", Claim(3, "crane"), prepared=Prepared("H1", "anvil", 4))
    step = receive(row, "anvil", OFFER)
    assert step.messages == (Sent("anvil", Answer("H1", 5, True)), Sent("crane", Supersede(Claim(5, "barn"))))
    assert due(step.row) == step.messages[1:]
