"""Confirming a PaymentIntent: what pays it, and what comes of that.

shared payment token, card, Link    charged at once; the payer may have to authenticate first
crypto, deposit                     waits for a deposit: see `deposits`
crypto, transaction verification    records a transfer that was made already: see `verification`
"""

from __future__ import annotations

from msgspec import Struct

from coinslot.sandbox.stripe import cards, charging, deposits, intents, networks, tokens, verification
from coinslot.sandbox.stripe.cards import Outcome
from coinslot.sandbox.stripe.chain import Evidence
from coinslot.sandbox.stripe.errors import CARD, ApiError, invalid
from coinslot.sandbox.stripe.expansion import to_json
from coinslot.sandbox.stripe.payment_parameters import CryptoOptions, PaymentMethodData
from coinslot.sandbox.stripe.shapes import PaymentIntent, PaymentMethod
from coinslot.sandbox.stripe.shapes.payment_intent import NextAction, RedirectToUrl
from coinslot.sandbox.stripe.shapes.private import Attempt
from coinslot.sandbox.stripe.state import State

_DATA = "payment_method_data"


class Source(Struct, kw_only=True):
    """What a request names to pay with. `evidence` is what the chain says of the transfer to record."""

    payment_method: str | None = None
    data: PaymentMethodData | None = None
    token: str | None = None
    crypto: CryptoOptions | None = None
    return_url: str | None = None
    refuse_action: bool = False
    evidence: Evidence | None = None

    @property
    def shared_token(self) -> tuple[str, str] | None:
        """The shared payment token and the parameter that has it: clients put it in either of two."""
        if self.token is not None:
            return self.token, "shared_payment_granted_token"
        if self.data is not None and self.data.shared_payment_granted_token is not None:
            return self.data.shared_payment_granted_token, f"{_DATA}[shared_payment_granted_token]"
        return None


def is_crypto(source: Source) -> bool:
    """Whether the request pays with a deposit."""
    return source.data is not None and source.data.type == "crypto"


def choose(state: State, account: str, intent: PaymentIntent, source: Source) -> None:
    """Give the PaymentIntent what the request names to pay with, if it names anything. Raises `ApiError`."""
    spent = None
    if is_crypto(source):
        method = cards.add_method(state, account, "crypto")
    elif source.shared_token is not None:
        id_, param = source.shared_token
        token = tokens.usable(state, account, id_, intent, param=param)
        method = cards.clone(state, account, state.get(PaymentMethod, token.payment_method))
        spent = token.id
    elif source.payment_method is not None:
        method = cards.take(state, account, source.payment_method, param="payment_method")
    elif source.data is not None:
        method = _from_data(state, account, source.data)
    else:
        return
    _check_type(intent, method)
    _remember(state, account, intent, spent)
    intent.payment_method = method.id
    if intent.status == "requires_payment_method":
        intent.status = "requires_confirmation"


def confirm(state: State, account: str, intent: PaymentIntent, source: Source) -> None:
    """Pay the PaymentIntent, or begin to. Raises `ApiError`, and 402 where the bank says no."""
    if intent.payment_method is None:
        raise _not_ready(
            intent,
            "You cannot confirm this PaymentIntent because it's missing a payment method. To confirm the "
            "PaymentIntent with a payment method, specify it with the payment_method parameter.",
        )
    method = state.get(PaymentMethod, intent.payment_method)
    if method.type == "crypto":
        _confirm_crypto(state, account, intent, source)
        return
    _check_token(state, account, intent)
    outcome = cards.outcome_of(state, method.id)
    if outcome.result == "authentication":
        _authenticate_first(state, account, intent, method, source)
    else:
        _charge(state, account, intent, method, outcome)


def authenticated(state: State, id_: str, *, succeeded: bool) -> PaymentIntent:
    """The payer has been asked. Raises `ApiError` if the PaymentIntent does not wait for that."""
    intent = state.get(PaymentIntent, id_)
    account = state.owner(PaymentIntent, id_)
    if intent.next_action is None or intent.next_action.type == "crypto_display_details":
        intents.check_state(intent, (), "authenticate", "authenticated")
    assert intent.payment_method is not None, "what waits for the payer has a payment method"
    method = state.get(PaymentMethod, intent.payment_method)
    if succeeded:
        _check_token(state, account, intent)
        _charge(state, account, intent, method, Outcome())
        return intent
    outcome = Outcome(
        result="declined",
        code="payment_intent_authentication_failure",
        message="The provided PaymentMethod has failed authentication. You can provide payment_method_data "
        "or a new PaymentMethod to attempt to fulfill this PaymentIntent again.",
    )
    attempt = state.find(Attempt, id_)
    if attempt is not None:
        tokens.release(state, attempt.token, intent)
    intents.fail(state, account, intent, outcome, method=method)
    return intent


def _not_ready(intent: PaymentIntent, message: str) -> ApiError:
    """400: the PaymentIntent is not ready, and is in the answer."""
    return ApiError(
        400, message, code="payment_intent_unexpected_state", executed=True, payment_intent=to_json(intent)
    )


def _charge(
    state: State, account: str, intent: PaymentIntent, method: PaymentMethod, outcome: Outcome
) -> None:
    charge = charging.begin(state, account, intent, method)
    if outcome.result == "succeeds":
        charging.succeed(state, account, charge, capture=intent.capture_method != "manual")
        intents.succeed(state, account, intent, charge)
        return
    charging.fail(state, account, charge, outcome)
    intents.fail(state, account, intent, outcome, method=method, charge=charge)
    raise ApiError(
        402,
        outcome.message,
        kind=CARD,
        code=outcome.code,
        executed=True,
        decline_code=outcome.decline_code,
        advice_code=outcome.advice,
        charge=charge.id,
        payment_intent=to_json(intent),
        payment_method=to_json(method),
    )


def _authenticate_first(
    state: State, account: str, intent: PaymentIntent, method: PaymentMethod, source: Source
) -> None:
    if source.refuse_action:
        outcome = Outcome(
            result="declined",
            code="authentication_required",
            decline_code="authentication_required",
            message="Your card was declined. This transaction requires authentication.",
        )
        _charge(state, account, intent, method, outcome)
    page = f"{state.settings.public_url}/authenticate/{intent.id}"
    if source.return_url is not None:
        action = NextAction(
            type="redirect_to_url", redirect_to_url=RedirectToUrl(url=page, return_url=source.return_url)
        )
    else:
        sdk = {"type": "three_d_secure_redirect", "stripe_js": page, "source": method.id}
        action = NextAction(type="use_stripe_sdk", use_stripe_sdk=dict(sdk))
    intents.require_action(state, account, intent, action)
    attempt = state.find(Attempt, intent.id)
    if attempt is not None:
        tokens.require_action(state, attempt.token, intent)


def _confirm_crypto(state: State, account: str, intent: PaymentIntent, source: Source) -> None:
    options = source.crypto
    where = "payment_method_options[crypto]"
    if options is None or options.mode in (None, "default"):
        raise invalid(
            "The sandbox emulates the modes `deposit` and `transaction_verification` alone.",
            param=f"{where}[mode]",
        )
    if options.mode == "transaction_verification":
        verification.verify(state, account, intent, options, source.evidence)
        return
    wanted = None if options.deposit_options is None else options.deposit_options.networks
    if not wanted:
        param = f"{where}[deposit_options][networks]"
        raise invalid(f"Missing required param: {param}.", param=param, code="parameter_missing")
    unsupported = [each for each in wanted if each not in networks.NETWORKS]
    if unsupported:
        raise invalid(
            f"Deposits on {unsupported[0]} are not supported.", param=f"{where}[deposit_options][networks]"
        )
    if intent.next_action is not None:
        return  # it waits for its deposit already
    static = options.deposit_options is not None and bool(options.deposit_options.static_address)
    deposits.open_deposit(state, account, intent, list(dict.fromkeys(wanted)), static=static)


def _from_data(state: State, account: str, data: PaymentMethodData) -> PaymentMethod:
    if data.type == "link":
        return cards.add_method(state, account, "link")
    if data.type is None:
        raise invalid(
            f"Missing required param: {_DATA}[type].", param=f"{_DATA}[type]", code="parameter_missing"
        )
    if data.card is not None and data.card.token is not None:
        return cards.from_token(state, account, data.card.token, param=f"{_DATA}[card][token]")
    if data.card is not None and data.card.number is not None:
        return cards.from_number(state, account, data.card.number)
    raise invalid(f"Missing required param: {_DATA}[card].", param=f"{_DATA}[card]", code="parameter_missing")


def _check_type(intent: PaymentIntent, method: PaymentMethod) -> None:
    if method.type not in intent.payment_method_types:
        raise invalid(
            f"The PaymentMethod provided ({method.type}) is not allowed for this PaymentIntent. Please "
            "attach a PaymentMethod of one of the following types: "
            f"{', '.join(intent.payment_method_types)}. Alternatively update the allowed "
            f'payment_method_types for this PaymentIntent to include "{method.type}".',
            param="payment_method",
            code="payment_intent_incompatible_payment_method",
        )


def _remember(state: State, account: str, intent: PaymentIntent, token: str | None) -> None:
    """Which token the PaymentIntent is to be paid with, if it is one."""
    known = state.find(Attempt, intent.id)
    if known is not None:
        state.remove(known)
    if token is not None:
        state.add(Attempt(id=intent.id, created=state.now, token=token), account)


def _check_token(state: State, account: str, intent: PaymentIntent) -> None:
    """Refuse a token that has ended since it was given."""
    attempt = state.find(Attempt, intent.id)
    if attempt is not None:
        tokens.usable(state, account, attempt.token, intent, param="shared_payment_granted_token")
