"""How it is paid: one package for each payment method."""
