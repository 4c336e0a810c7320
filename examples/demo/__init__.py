"""The whole story in one run, with a chain and a Stripe in boxes: `python -m examples.demo`."""
