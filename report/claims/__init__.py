"""The ledger: what people say of the two frameworks, each saying with a rule fixed beforehand.

One file a claim, found by itself. Pure: evidence in, verdict out.
"""
