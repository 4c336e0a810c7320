"""The buyer's half of Tempo.

accounts.py     how accounts are made, and filled on a test network
account.py      the method itself: what a challenge would cost, and paying it
preparing.py    from which token it is best paid
spending.py     whether there is enough; survey.py, what a node says about that
drafting.py     the transaction, until it is signed
broadcast.py    putting it on the chain
aftermath.py    what became of it
delegation.py   other keys that sign for an account
"""
