"""The life of one payment: the method contract, the states, the ledger's contract and the till.

Nothing here knows a payment method, a framework or a database: those implement what is defined here.
"""
