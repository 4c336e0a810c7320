"""Fault injection: shops that are killed, cut off and lied to, buyers who come back, and a count at the end.

    world      a real chain and a real Stripe, in a process of their own
    shop       a Paywall behind uvicorn, in a process that dies to order
    points     where it can die: before and after every write and every call
    buyers     wallets that pay, retry, replay, crowd in and vanish
    stage      everything that one case runs on, and the life of its shops
    cases      what is to go wrong: each case has a name that says it all, and can be run again by it
    acts       how each kind of case goes
    truth      what the chain, Stripe, the ledger and the handler say afterwards
    report     how many, how often, what was violated

`python -m faults` runs the lot and `python -m faults NAME …` single cases, with `tests` on the path.
"""
