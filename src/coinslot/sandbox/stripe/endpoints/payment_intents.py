"""/v1/payment_intents."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET

from coinslot.protocol import JSONObject
from coinslot.sandbox.stripe import (
    confirming,
    events as happenings,
    intents,
    metadata,
    money,
    networks,
    searching,
)
from coinslot.sandbox.stripe.calls import Call, endpoint
from coinslot.sandbox.stripe.endpoints.customers import check_customer
from coinslot.sandbox.stripe.endpoints.payment_intent_parameters import (
    Cancel,
    Capture,
    Create,
    ListIntents,
    RefundAddress,
    TransferInput,
    Update,
)
from coinslot.sandbox.stripe.errors import invalid, refused, unexpected_state
from coinslot.sandbox.stripe.expansion import to_json
from coinslot.sandbox.stripe.identifiers import new_id, random_text
from coinslot.sandbox.stripe.lists import Listing, page
from coinslot.sandbox.stripe.parameters import Parameters
from coinslot.sandbox.stripe.payment_parameters import (
    CryptoOptions,
    MethodOptions,
    PaymentParameters,
)
from coinslot.sandbox.stripe.searching import SearchParameters, SearchResult
from coinslot.sandbox.stripe.shapes import PaymentIntent
from coinslot.sandbox.stripe.shapes.payment_intent import (
    AutomaticPaymentMethods,
    CryptoDisplayDetails,
    TransferData,
)
from coinslot.sandbox.stripe.state import State

_TYPES: Final = ("card", "crypto", "link")


def create(state: State, call: Call, given: Create) -> PaymentIntent:
    """POST /v1/payment_intents."""
    _check_preview(call, given)
    source = _source(call, given)
    crypto = confirming.is_crypto(source)
    money.check_amount(given.amount, given.currency.lower(), crypto=crypto)
    check_customer(state, call.account, given.customer)
    _check_connect(given)
    intent = state.add(_new(state, given), call.account)
    happenings.record(state, call.account, "payment_intent.created", intent)
    confirming.choose(state, call.account, intent, source)
    state.save(intent)
    if given.confirm:
        _check_return_url(intent, given, source)
        confirming.confirm(state, call.account, intent, source)
    return intent


def retrieve(state: State, call: Call, _given: Parameters) -> PaymentIntent:
    """GET /v1/payment_intents/{id}."""
    return state.get(PaymentIntent, call.id, call.account)


def update(state: State, call: Call, given: Update) -> PaymentIntent:
    """POST /v1/payment_intents/{id}."""
    intent = state.get(PaymentIntent, call.id, call.account)
    if given.amount is not None:
        intents.check_state(intent, ("requires_payment_method", "requires_confirmation"), "update", "updated")
        money.check_amount(given.amount, intent.currency, crypto="crypto" in intent.payment_method_types)
        intent.amount = given.amount
    check_customer(state, call.account, given.customer or None)
    for name in ("customer", "description", "receipt_email", "statement_descriptor", "transfer_group"):
        value = getattr(given, name)
        if value is not None:
            setattr(intent, name, value or None)
    intent.metadata = metadata.merged(intent.metadata, given.metadata)
    return state.save(intent)


def confirm(state: State, call: Call, given: PaymentParameters) -> PaymentIntent:
    """POST /v1/payment_intents/{id}/confirm."""
    _check_preview(call, given)
    intent = state.get(PaymentIntent, call.id, call.account)
    intents.check_state(intent, intents.CONFIRMABLE, "confirm", "confirmed")
    source = _source(call, given)
    if source.crypto is None:
        source.crypto = _kept_options(intent)
    confirming.choose(state, call.account, intent, source)
    if given.payment_method_options is not None:
        intent.payment_method_options |= _options(given.payment_method_options)
    state.save(intent)
    confirming.confirm(state, call.account, intent, source)
    return intent


def capture(state: State, call: Call, given: Capture) -> PaymentIntent:
    """POST /v1/payment_intents/{id}/capture."""
    intent = state.get(PaymentIntent, call.id, call.account)
    if intent.status != "requires_capture":
        intents.check_state(intent, ("requires_capture",), "capture", "captured")
    amount = intent.amount_capturable if given.amount_to_capture is None else given.amount_to_capture
    if not 0 < amount <= intent.amount_capturable:
        raise refused(
            f"The amount to capture has to be from 1 to {intent.amount_capturable}, what is reserved.",
            param="amount_to_capture",
            code="amount_too_large" if amount > 0 else "amount_too_small",
        )
    intent.metadata = metadata.merged(intent.metadata, given.metadata)
    intents.capture(state, call.account, intent, amount)
    return intent


def cancel(state: State, call: Call, given: Cancel) -> PaymentIntent:
    """POST /v1/payment_intents/{id}/cancel."""
    intent = state.get(PaymentIntent, call.id, call.account)
    intents.check_state(intent, intents.CANCELABLE, "cancel", "canceled")
    intents.cancel(state, call.account, intent, given.cancellation_reason)
    return intent


def list_(state: State, call: Call, given: ListIntents) -> Listing:
    """GET /v1/payment_intents."""
    return page(state, PaymentIntent, call.account, given, call.path, {"customer": given.customer})


def search(state: State, call: Call, given: SearchParameters) -> SearchResult:
    """GET /v1/payment_intents/search."""
    return searching.search(state, PaymentIntent, call.account, given, call.path)


def set_refund_address(state: State, call: Call, given: RefundAddress) -> PaymentIntent:
    """POST /v1/payment_intents/{id}/update_crypto_refund_address."""
    intent = state.get(PaymentIntent, call.id, call.account)
    details = None if intent.next_action is None else intent.next_action.crypto_display_details
    if not isinstance(details, CryptoDisplayDetails):
        raise unexpected_state("This PaymentIntent does not wait for a deposit.", to_json(intent))
    if given.network not in details.deposit_addresses:
        raise refused(f"The PaymentIntent takes no deposits on {given.network}.", param="network")
    if not networks.is_address(given.network, given.refund_address):
        raise invalid(f"Invalid address on {given.network}.", param="refund_address")
    details.deposit_addresses[given.network].refund_address = given.refund_address
    return state.save(intent)


def _new(state: State, given: Create) -> PaymentIntent:
    id_ = new_id("pi")
    types = _types(given)
    return PaymentIntent(
        id=id_,
        created=state.now,
        amount=given.amount,
        application_fee_amount=given.application_fee_amount,
        automatic_payment_methods=_automatic(given),
        capture_method=given.capture_method or "automatic_async",
        client_secret=f"{id_}_secret_{random_text(25)}",
        confirmation_method=given.confirmation_method or "automatic",
        currency=given.currency.lower(),
        customer=given.customer,
        description=given.description,
        hooks=UNSET if given.hooks is None else msgspec.to_builtins(given.hooks),
        metadata=metadata.merged({}, given.metadata),
        on_behalf_of=given.on_behalf_of,
        payment_method_options=_default_options(types) | _options(given.payment_method_options),
        payment_method_types=types,
        receipt_email=given.receipt_email,
        setup_future_usage=given.setup_future_usage,
        shipping=None if given.shipping is None else msgspec.to_builtins(given.shipping),
        statement_descriptor=given.statement_descriptor,
        statement_descriptor_suffix=given.statement_descriptor_suffix,
        status="requires_payment_method",
        transfer_data=_transfer(given.transfer_data),
        transfer_group=given.transfer_group,
    )


def _types(given: Create) -> list[str]:
    types = given.payment_method_types or given.allowed_payment_method_types or ["card", "link"]
    unknown = [each for each in types if each not in _TYPES]
    if unknown:
        raise invalid(
            f"Invalid payment_method_types: {unknown[0][:80]}; the sandbox has {', '.join(_TYPES)}.",
            param="payment_method_types",
        )
    return types


def _automatic(given: Create) -> AutomaticPaymentMethods | None:
    """The Dashboard's payment methods are what a request without any means."""
    wanted = given.automatic_payment_methods
    if wanted is not None:
        return AutomaticPaymentMethods(
            enabled=wanted.enabled, allow_redirects=wanted.allow_redirects or "always"
        )
    if given.payment_method_types is not None or given.allowed_payment_method_types is not None:
        return None
    return AutomaticPaymentMethods(enabled=True, allow_redirects="always")


def _source(call: Call, given: PaymentParameters) -> confirming.Source:
    options = given.payment_method_options
    return confirming.Source(
        payment_method=given.payment_method,
        data=given.payment_method_data,
        token=given.shared_payment_granted_token,
        crypto=None if options is None else options.crypto,
        return_url=given.return_url,
        refuse_action=bool(given.error_on_requires_action),
        evidence=call.evidence,
    )


def _check_preview(call: Call, given: PaymentParameters) -> None:
    """Refuse what only preview versions know, as any other unknown parameter."""
    data, options = given.payment_method_data, given.payment_method_options
    crypto = None if options is None else options.crypto
    previews = {
        "shared_payment_granted_token": given.shared_payment_granted_token,
        "payment_method_data[shared_payment_granted_token]": data and data.shared_payment_granted_token,
        "payment_method_options[crypto][mode]": crypto and crypto.mode,
    }
    for param, value in previews.items():
        if value is not None and not call.previews:
            raise invalid(f"Received unknown parameter: {param}", param=param, code="parameter_unknown")


def _check_connect(given: Create) -> None:
    shares = {
        "application_fee_amount": given.application_fee_amount,
        "transfer_data[amount]": None if given.transfer_data is None else given.transfer_data.amount,
    }
    for param, share in shares.items():
        if share is not None and not 0 <= share <= given.amount:
            raise invalid(f"{param} must be from 0 to the PaymentIntent's amount.", param=param)


def _check_return_url(intent: PaymentIntent, given: Create, source: confirming.Source) -> None:
    """Confirming with the Dashboard's payment methods wants a `return_url`, or no redirects."""
    automatic = intent.automatic_payment_methods
    if automatic is None or source.shared_token is not None or given.return_url is not None:
        return
    if automatic.enabled and automatic.allow_redirects == "always":
        raise invalid(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because "
            "some of these payment methods might redirect your customer off of your page, you must provide a "
            "`return_url`. If you don't want to accept redirect-based payment methods, set "
            "`automatic_payment_methods[enabled]` to `true` and "
            "`automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and "
            "Payment Intents.",
        )


def _options(options: MethodOptions | None) -> JSONObject:
    """The options as the answer shows them: what was given."""
    given: JSONObject = {} if options is None else msgspec.to_builtins(options)
    return {name: _without_none(value) for name, value in given.items() if isinstance(value, dict)}


def _without_none(given: JSONObject) -> JSONObject:
    return {
        name: _without_none(value) if isinstance(value, dict) else value
        for name, value in given.items()
        if value is not None
    }


def _default_options(types: list[str]) -> JSONObject:
    defaults: JSONObject = {}
    if "card" in types:
        defaults["card"] = {
            "installments": None,
            "mandate_options": None,
            "network": None,
            "request_three_d_secure": "automatic",
        }
    if "link" in types:
        defaults["link"] = {"persistent_token": None}
    return defaults


def _kept_options(intent: PaymentIntent) -> CryptoOptions | None:
    kept = intent.payment_method_options.get("crypto")
    return None if kept is None else msgspec.convert(kept, CryptoOptions)


def _transfer(given: TransferInput | None) -> TransferData | None:
    if given is None:
        return None
    return TransferData(destination=given.destination, amount=UNSET if given.amount is None else given.amount)


_ONE: Final = "/v1/payment_intents/{id}"

ENDPOINTS: Final = (
    endpoint("POST", "/v1/payment_intents", Create, create),
    endpoint("GET", "/v1/payment_intents", ListIntents, list_),
    endpoint("GET", "/v1/payment_intents/search", SearchParameters, search),
    endpoint("GET", _ONE, Parameters, retrieve),
    endpoint("POST", _ONE, Update, update),
    endpoint("POST", f"{_ONE}/confirm", PaymentParameters, confirm),
    endpoint("POST", f"{_ONE}/capture", Capture, capture),
    endpoint("POST", f"{_ONE}/cancel", Cancel, cancel),
    endpoint("POST", f"{_ONE}/update_crypto_refund_address", RefundAddress, set_refund_address, preview=True),
)
