"""The seller's half of Tempo.

charge.py         the method itself: what is asked, and who takes what is presented
pull.py           transactions that the server broadcasts
push.py           transactions that the payer has broadcast
identity.py       proofs, where the price is zero
relay.py          a service in the node's place
verification.py   what a signed transaction has to be; matching.py, the transfers; key_checks.py, the key
sponsor.py        who pays the payers' fees; fee_policy.py, within which limits
splits.py         who else gets a part of each payment
addresses.py      the addresses that a seller configures
"""
